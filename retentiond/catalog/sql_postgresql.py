"""The questions put to PostgreSQL's system catalogues, which every session finds without naming their schema."""

import re

from sqlalchemy import TextClause, text

# A domain's CHECK calls the value VALUE.
VALUE = re.compile(r"\bVALUE\b")

# Relations that count: not the system's, not a session's own, not ours.
_RELATIONS = """
    pg_class AS r JOIN pg_namespace AS n ON n.oid = r.relnamespace
     AND r.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.relpersistence <> 't'
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^(pg_|retentiond)' AND r.relname !~ '^retentiond_'
"""

# The names of numbered columns, in the order of the numbers.
_NAMES = r"""
    ARRAY(SELECT a.attname::text
            FROM unnest(\2) WITH ORDINALITY AS k(number, place)
                 JOIN pg_attribute AS a ON a.attrelid = \1 AND a.attnum = k.number
           ORDER BY k.place)
"""


def _question(sql: str) -> TextClause:
    """The statement with the two pieces that several share filled in."""
    return text(re.sub(r"<names of (\S+) (\S+)>", _NAMES, sql.replace("<relations>", _RELATIONS)))


# `reset_val` is the role's own search path, which the session has put aside.
SERVER = text("""
    SELECT current_setting('server_version_num')::integer AS number,
           (SELECT reset_val FROM pg_settings WHERE name = 'search_path') AS search_path,
           current_user::text AS role,
           ARRAY(SELECT nspname::text FROM pg_namespace) AS schemas,
           EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') AS icu
""")

# row_security_active knows owners, superusers and BYPASSRLS.
TABLES = _question("""
    SELECT r.oid AS relation, n.nspname::text AS schema, r.relname::text AS name, r.relkind::text AS kind,
           r.relispartition AS is_partition, r.reltuples AS estimate,
           r.relrowsecurity AND row_security_active(r.oid) AS row_security,
           p.partstrat::text AS strategy, string_to_array(p.partattrs::text, ' ')::integer[] AS partition_columns
      FROM <relations> LEFT JOIN pg_partitioned_table AS p ON p.partrelid = r.oid
     ORDER BY n.nspname, r.relname
""")

COLUMNS = _question("""
    SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name, quote_ident(a.attname) AS quoted_name,
           a.atttypid AS type, format_type(a.atttypid, a.atttypmod) AS type_text, a.atttypmod AS modifier,
           t.typtype::text AS type_kind, t.typname::text AS type_name, a.attnotnull AS not_null,
           (a.atthasdef AND a.attgenerated = '') OR a.attidentity <> '' AS has_default,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated, a.attidentity <> '' AS identity,
           CASE WHEN a.attcollation NOT IN (0, 100) THEN c.collname::text END AS collation
      FROM <relations> JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
           JOIN pg_type AS t ON t.oid = a.atttypid
           LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
     ORDER BY a.attrelid, a.attnum
""")

# `type` and what follows describe the type that the domain is made of, which may be a domain again.
DOMAINS = text("""
    SELECT d.oid AS domain, d.typnotnull AS not_null, d.typbasetype AS type, d.typtypmod AS modifier,
           t.typtype::text AS type_kind, t.typname::text AS type_name
      FROM pg_type AS d JOIN pg_type AS t ON t.oid = d.typbasetype
     WHERE d.typtype = 'd'
""")

DOMAIN_CHECKS = text("""
    SELECT contypid AS domain, conname::text AS name, pg_get_constraintdef(oid) AS text
      FROM pg_constraint
     WHERE contypid <> 0 AND contype = 'c'
     ORDER BY contypid, conname
""")

ENUMS = text("SELECT enumtypid AS type, enumlabel::text AS label FROM pg_enum ORDER BY enumtypid, enumsortorder")

# conparentid: the copies that partitions get come and go with them, and the parent's key stands for them.
CONSTRAINTS = _question("""
    SELECT c.conrelid AS relation, c.contype::text AS kind, c.conname::text AS name, c.conkey AS columns,
           CASE WHEN c.contype = 'c' THEN pg_get_constraintdef(c.oid) END AS text,
           c.condeferrable AS deferrable, c.confdeltype::text AS on_delete, c.confupdtype::text AS on_update,
           fn.nspname::text AS referenced_schema, f.relname::text AS referenced_name,
           CASE WHEN c.contype = 'f' THEN <names of c.conrelid c.conkey> END AS column_names,
           CASE WHEN c.contype = 'f' THEN <names of c.confrelid c.confkey> END AS referenced_columns
      FROM <relations> JOIN pg_constraint AS c ON c.conrelid = r.oid
           LEFT JOIN pg_class AS f ON f.oid = c.confrelid AND c.contype = 'f'
           LEFT JOIN pg_namespace AS fn ON fn.oid = f.relnamespace
     WHERE c.contype IN ('p', 'c') OR c.contype = 'f' AND c.conparentid = 0
     ORDER BY c.conrelid, c.conname
""")

# Of an INCLUDE index only the key columns. The primary key's own index is left out: the key stands for it. Read through
# JSON: the column for NULLS NOT DISTINCT came with version 15.
INDEXES = _question("""
    SELECT i.indrelid AS relation, x.relname::text AS name, m.amname::text AS method,
           (string_to_array(i.indkey::text, ' ')::integer[])[1:i.indnkeyatts] AS columns,
           i.indisunique AS is_unique, i.indisvalid AND i.indisready AS is_valid,
           pg_get_expr(i.indpred, i.indrelid) AS condition,
           coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct
      FROM <relations> JOIN pg_index AS i ON i.indrelid = r.oid AND NOT i.indisprimary
           JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_am AS m ON m.oid = x.relam
     ORDER BY i.indrelid, x.relname
""")

# tgparentid: a partition's copy of its parent's trigger.
TRIGGERS = _question("""
    SELECT t.tgrelid AS relation, t.tgname::text AS name, t.tgtype AS flags, t.tgenabled::text AS enabled,
           pg_get_triggerdef(t.oid) AS definition, concat(p.prosrc, p.probin, p.proconfig::text) AS digested,
           p.prosrc AS body, l.lanname::text AS language, p.proconfig AS settings
      FROM <relations> JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgparentid = 0
           JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_language AS l ON l.oid = p.prolang
     ORDER BY t.tgrelid, t.tgname
""")

RULES = _question("""
    SELECT w.ev_class AS relation, w.rulename::text AS name, w.ev_type::text AS event, w.is_instead AS instead,
           w.ev_enabled::text AS enabled, pg_get_ruledef(w.oid) AS definition
      FROM <relations> JOIN pg_rewrite AS w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
     ORDER BY w.ev_class, w.rulename
""")

INHERITANCE = text("""
    SELECT i.inhparent AS parent, i.inhrelid AS child,
           pn.nspname::text AS parent_schema, p.relname::text AS parent_name,
           cn.nspname::text AS child_schema, c.relname::text AS child_name, c.relispartition AS is_partition,
           c.reltuples AS estimate, pg_get_expr(c.relpartbound, c.oid) AS bound
      FROM pg_inherits AS i
           JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
           JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f')
     ORDER BY i.inhparent, cn.nspname, c.relname, i.inhseqno
""")
