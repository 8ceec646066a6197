# The index of substrings, and list_users, find what ILIKE finds in every encoding, and by the rules of languages
# that make letters lower in ways of their own.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('encodings');
my $node = $s->node;

# An expression for some characters of a database: single ones, and some that are one letter's.
my $bytes = q(SELECT convert_from(decode(lpad(to_hex(i), 2, '0'), 'hex'), getdatabaseencoding()) FROM generate_series(32, 255) i WHERE i NOT BETWEEN 127 AND 160);
my $letters = q(SELECT unnest(ARRAY['a', 'A', 'b', 'I', 'i', 'ı', 'İ', 'Σ', 'σ', 'ς', 'ä', 'Ä', 'ß', 'ẞ', U&'\0307', U&'\0301', 'é', 'Ì', '%', '_', '\', '.', '本', 'J', 'Į']));
# Pairs of bytes of which the second of one and the first of the next are a character, too.
my $euc = q(SELECT convert_from(decode(h, 'hex'), 'EUC_JP') FROM unnest('{a4a2,a4a4,a2a4,a4a3,a3c1,a3e1,b0a1,a1b0,8fb0a1,8eb1,61,41,25,5f,5c}'::text[]) h);
my %databases = (
    latin1 => [ q(ENCODING 'LATIN1' LOCALE 'C'), $bytes ],
    latin5 => [ q(ENCODING 'LATIN5' LOCALE 'C'), $bytes ],
    sql_ascii => [ q(ENCODING 'SQL_ASCII' LOCALE 'C'), $bytes ],
    euc_jp => [ q(ENCODING 'EUC_JP' LOCALE 'C'), $euc ],
    utf8 => [ q(ENCODING 'UTF8' LOCALE 'C.UTF-8'), $letters ],
    utf8_c => [ q(ENCODING 'UTF8' LOCALE 'C'), $letters ],
    map { ("icu_$_" => [ "ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE '$_'", $letters ]) } qw(en tr lt el),
);

my $compare = <<'SQL';
SET client_min_messages = warning;
CREATE EXTENSION auth_service CASCADE;
CREATE TABLE characters (n int GENERATED ALWAYS AS IDENTITY, c text);
INSERT INTO characters (c) CHARACTERS;
-- More than the rows that are looked at first, and words of up to five characters.
INSERT INTO auth.users (email, email_normalized, first_name, created_at, updated_at)
    SELECT i || '@x.org', i || '@x.org', (SELECT string_agg(c, '' ORDER BY j) FROM generate_series(1, 1 + i % 5) j JOIN characters ON n = 1 + (hashint8(i * 31 + j) & 65535) % (SELECT count(*) FROM characters)), now(), now()
    FROM generate_series(1, 4000) i;
VACUUM ANALYZE auth.users;
CREATE TABLE substrings AS
    SELECT DISTINCT s FROM (SELECT c FROM characters UNION ALL SELECT a.c || b.c FROM characters a, characters b WHERE (a.n + b.n) % 5 = 0
                            UNION ALL SELECT substr(first_name, 2) FROM auth.users WHERE id % 13 = 0 UNION ALL SELECT upper(first_name) FROM auth.users WHERE id % 17 = 0) x (s)
    WHERE s <> '' ORDER BY s LIMIT 1200;
CREATE FUNCTION ids(query text, bitmaps text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE ids bigint[];
BEGIN
    PERFORM set_config('enable_bitmapscan', bitmaps, true), set_config('enable_seqscan', CASE bitmaps WHEN 'on' THEN 'off' ELSE 'on' END, true);
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM ' || query INTO ids;
    RETURN ids;
END $$;
CREATE VIEW compared AS
    SELECT s, ids(plain, 'off') AS right, ids(plain, 'on') AS by_index, ids(format('auth.list_users(first_name => %L, "limit" => 1000)', s), 'on') AS listed
    FROM substrings, LATERAL (VALUES ('%' || regexp_replace(s, '([%_\\])', '\\\1', 'g') || '%')) p (p),
         LATERAL (VALUES (format('auth.users WHERE deleted_at IS NULL AND first_name ILIKE %L', p))) q (plain);
SELECT count(*) > 100, count("right") > 50, count(*) FILTER (WHERE "right" IS DISTINCT FROM by_index), count(*) FILTER (WHERE "right"[:1000] IS DISTINCT FROM listed) FROM compared;
SQL

foreach my $name (sort keys %databases)
{
    my ($options, $characters) = @{ $databases{$name} };
    local $ENV{PGCLIENTENCODING} = $name eq 'sql_ascii' ? 'SQL_ASCII' : 'UTF8';
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 $options");
    my ($status, $out, $err) = $node->psql($name, $compare =~ s/CHARACTERS/$characters/r);
    is($out, 't|t|0|0', "$name: the index and the list find what ILIKE finds") or diag $err;
}

done_testing();
