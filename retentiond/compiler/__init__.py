"""From policy and catalog to a plan, and from a plan to statements. Pure: no connection, no settings, no clock."""
