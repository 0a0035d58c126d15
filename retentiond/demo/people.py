"""People who do not exist: names made of syllables, addresses in domains and number blocks that nobody can own."""

from __future__ import annotations

from hashlib import sha256
from random import Random

FIRST = ("Al", "Be", "Co", "Da", "El", "Fi", "Ga", "He", "Il", "Jo", "Ka", "Lu", "Mi", "No", "Or", "Pe", "Ro", "Sa")
MIDDLE = ("ba", "del", "fo", "ga", "lin", "mo", "ni", "pa", "ra", "ren", "si", "tu", "va", "zo")
FAMILY = ("brook", "dal", "field", "gard", "holt", "lund", "mark", "mond", "stad", "thal", "vik", "wald")
# RFC 2606 and RFC 6761 reserve these domains, RFC 5737 and RFC 3849 these networks; the telephone numbers below are
# those that regulators keep for films.
DOMAINS = ("example.org", "example.net", "example.com", "mail.invalid")
NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
STREETS = ("Station Road", "Market Square", "Mill Lane", "Harbour Street", "Garden Row", "Church Hill")
TOWNS = ("Northby", "Eastwick", "Southam", "Westerly", "Midford", "Lakeham")
TRADES = ("Bakery", "Printworks", "Clinic", "Logistics", "Books", "Cycles", "Studio", "Consulting")
BROWSERS = ("Mozilla/5.0 (X11; Linux) Demo/1.0", "Mozilla/5.0 (Macintosh) Demo/1.0", "DemoApp/4.2 (Android 14)")
TOPICS = ("billing", "delivery", "quality", "service", "privacy", "website")
REMARKS = (
    "I have been waiting for an answer for a week.",
    "The invoice shows an amount that was never agreed.",
    "Please tell me who looked at my data.",
    "The page does not open on my telephone.",
    "Thank you, that was quick.",
)


class People:
    """Draws one person's details after the other from a seeded random source."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._count = 0

    def name(self) -> str:
        """A first and a family name."""
        first = self._random.choice(FIRST) + self._random.choice(MIDDLE)
        return f"{first} {self._random.choice(FIRST)}{self._random.choice(MIDDLE)}{self._random.choice(FAMILY)}"

    def email(self, name: str) -> str:
        """An address of that name, different at each call, in a domain that delivers to nobody."""
        self._count += 1
        return f"{name.lower().replace(' ', '.')}.{self._count}@{self._random.choice(DOMAINS)}"

    def phone(self) -> str:
        """A number from a block that is never given to a subscriber."""
        if self._random.random() < 0.5:
            return f"+33 1 99 00 {self._random.randrange(100):02} {self._random.randrange(100):02}"
        return f"+44 7700 900{self._random.randrange(1000):03}"

    def ip(self) -> str:
        """An address from the networks kept for documentation; one in eight is IPv6."""
        if self._random.random() < 0.125:
            return f"2001:db8:{self._random.randrange(1, 65535):x}::{self._random.randrange(1, 65535):x}"
        return f"{self._random.choice(NETWORKS)}.{self._random.randrange(1, 255)}"

    def postcode(self) -> str:
        """Five digits."""
        return f"{self._random.randrange(1000, 99999):05}"

    def remark(self) -> str:
        """A sentence somebody could have written, now and then with a number to call back."""
        text = self._random.choice(REMARKS)
        return f"{text} My number is {self.phone()}." if self._random.random() < 0.3 else text

    def street(self) -> str:
        """A street and number."""
        return f"{self._random.choice(STREETS)} {self._random.randrange(1, 200)}"

    def town(self) -> str:
        """A town."""
        return self._random.choice(TOWNS)

    def company(self) -> str:
        """The name of a small firm."""
        return f"{self._random.choice(TOWNS)} {self._random.choice(TRADES)}"

    def browser(self) -> str:
        """What a browser says of itself."""
        return self._random.choice(BROWSERS)

    def topic(self) -> str:
        """What a message is about."""
        return self._random.choice(TOPICS)


def fingerprint(email: str) -> str:
    """The hash under which a suppression list remembers an address."""
    return sha256(email.strip().lower().encode()).hexdigest()
