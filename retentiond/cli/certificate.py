"""`ledger certificate`: what a run destroyed, or what is recorded of data subjects, as a document."""

import os
from pathlib import Path
from typing import IO

import click

from retentiond.cli.program import Command, Options
from retentiond.errors import UsageError


@click.command("certificate", cls=Command)
@click.argument("run", required=False)
@click.option("--policy", metavar="P", help="With --subject: the policy; may be left out where one has the type.")
@click.option("--subject", metavar="TYPE", help="Of data subjects instead of a run: their type.")
@click.option(
    "--id-file", type=click.File("rb"), metavar="F", help="With --subject: their ids, one per line (`-`: stdin)."
)
@click.option("--format", "form", type=click.Choice(["html", "json"]), default="html", help="How to write it.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Where; else stdout.",
)
@click.option(
    "--recount/--no-recount",
    default=True,
    help="Of a run: count in its tables again, by tokens. This reads all keys of them, once.",
)
@click.pass_obj
def certificate_command(  # noqa: PLR0913 - its options
    options: Options,
    run: str | None,
    policy: str | None,
    subject: str | None,
    id_file: IO[bytes] | None,
    form: str,
    output: Path | None,
    *,
    recount: bool,
) -> None:
    """Write what a run destroyed as a document, with proofs.

    RUN is the id of a run, or its beginning; `retentiond status --format json` shows them. With --subject and
    --id-file it says what is recorded of these persons; an id stands in a file, never on the command line, and nowhere
    in the document.
    """
    if (run is None) == (subject is None) or (subject is None) != (id_file is None):
        raise UsageError(
            "a certificate is of a RUN, or with --subject and --id-file of data subjects",
            hint="retentiond ledger certificate 5f0c6a52",
            code="certificate-of-what",
        )
    if run is not None:
        page, document = _of_run(options, run, recount=recount)
    else:
        assert subject is not None
        assert id_file is not None
        page, document = _of_subjects(options, policy, subject, id_file)
    _write(document if form == "json" else page, output)


def _of_run(options: Options, run: str, *, recount: bool) -> tuple[str, str]:
    from retentiond.cli.ledger import keys_folder, signed_store
    from retentiond.cli.moments import now
    from retentiond.reports.certificate_html import certificate_html
    from retentiond.reports.certify import certify_run
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    with signed_store(settings) as store:
        found = certify_run(run, settings, keys_folder(settings), store, now(), count_again=recount)
    return certificate_html(found), _json(found.as_json())


def _of_subjects(options: Options, policy: str | None, subject: str, id_file: IO[bytes]) -> tuple[str, str]:
    from retentiond.cli.hold_lines import read_lines
    from retentiond.cli.ledger import keys_folder, signed_store
    from retentiond.cli.moments import now
    from retentiond.engine.hold_targets import policy_of_subject
    from retentiond.policy.loader import load_policies
    from retentiond.reports.certify import certify_subjects
    from retentiond.reports.subject_html import subject_html
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
    of = policy_of_subject(policies, subject, policy), subject
    ids = read_lines(id_file.read(), id_file.name).numbers
    with signed_store(settings) as store:
        found = certify_subjects(policies, of, ids, settings, keys_folder(settings), store, now())
    return subject_html(found), _json(found.as_json())


def _json(document: dict[str, object]) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(text: str, output: Path | None) -> None:
    """Writes UTF-8 whatever the terminal has: the document says so itself."""
    if output is None:
        click.echo(text.encode(), nl=False)
        return
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}", code="output") from None
