/* The configuration file: a good one, every kind of mistake with its place and its hint, and files
 * cut at each byte. */
#include "config/config.h"
#include "config/node.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define SAMPLE BULKHEAD_SOURCE_ROOT "/deploy/bulkhead.yaml"

static const char good[] = "listen: {postgres: 127.0.0.1:5432}\n"
                           "tls: {certificate: tls/gw.crt, key: tls/gw.key}\n"
                           "issuers:\n"
                           "  - name: corp\n"
                           "    issuer: https://idp.example.com\n"
                           "    audience: bulkhead\n"
                           "resources:\n"
                           "  sales:\n"
                           "    protocol: postgres\n"
                           "    address: db.internal:5432\n"
                           "    credential: {user: app, password: {file: sales.pw}}\n"
                           "    labels: {env: prod}\n"
                           "policies:\n"
                           "  - name: read\n"
                           "    who: {groups: [agents]}\n"
                           "    resources: {labels: {env: prod}}\n"
                           "    allow: [read]\n"
                           "  - name: never\n"
                           "    commands: drop-database\n"
                           "    deny: never done\n";

/* A change to the good file, and all that the report then says. */
struct mistake {
    const char *instead_of;
    const char *written;
    const char *report;
};

static const struct mistake mistakes[] = {
    {"policies:", "polices:",
     "b.yaml:13:1: error: unknown key 'polices' in the file\n"
     "    hint: did you mean 'policies'?\n"},
    {"labels: {env: prod}\npol", "labels: {env: prod}\n    adress: x\npol",
     "b.yaml:13:5: error: unknown key 'adress' in a resource\n"
     "    hint: did you mean 'address'?\n"},
    {"policies:", "nonsense: 1\npolicies:",
     "b.yaml:13:1: error: unknown key 'nonsense' in the file\n"
     "    hint: known keys: listen, tls, issuers, local_issuer, resources, policies, console, "
     "store, "
     "recordings, notifications, state, runtime, ledger, log, limits, drain, postgres\n"},
    {"    labels: {env: prod}\npol", "    labels: {env: prod}\n    protocol: postgres\npol",
     "b.yaml:13:5: error: duplicate key 'protocol'; it is on line 9 already\n"},
    {"listen: {", "listen: &a {",
     "b.yaml:1:9: error: anchors (&), aliases (*) and tags (!) are not used here\n"
     "    hint: write the value out where it is used\n"},
    {"corp", "!!str corp",
     "b.yaml:4:11: error: anchors (&), aliases (*) and tags (!) are not used here\n"
     "    hint: write the value out where it is used\n"},
    {"deny: never done\n", "deny: never done\n---\nlisten: x\n",
     "b.yaml:21:1: error: a second document; the file holds one only\n"},
    {"deny: never done", "deny: *done",
     "b.yaml:20:11: error: anchors (&), aliases (*) and tags (!) are not used here\n"
     "    hint: write the value out where it is used\n"},
    {"deny: never done", "deny: \"never \\0 done\"",
     "b.yaml:20:11: error: a value holds a NUL byte\n"},
    {"deny: never done", "deny: \"never done",
     "b.yaml:21:1: error: found unexpected end of stream while scanning a quoted scalar\n"},
    {"deny: never done", "? [a]\n    : never done",
     "b.yaml:20:7: error: a key must be a word, not a list or mapping\n"},
    {"corp",
     "co\xff"
     "rp",
     "b.yaml:4:13: error: the file is not UTF-8\n"},
    {"tls: {cert", "tls: [{cert",
     "b.yaml:3:1: error: did not find expected ',' or ']' while parsing a flow sequence\n"},
    {"listen: {postgres: 127.0.0.1:5432}", "listen: 127.0.0.1:5432",
     "b.yaml:1:9: error: 'listen' must be a mapping or a list, not '127.0.0.1:5432'\n"},
    {"name: read", "name: protect",
     "b.yaml:14:11: error: 'protect' is what records name when a column's protection refuses\n"},
    {"allow: [read]", "allow: {read: true}",
     "b.yaml:17:12: error: 'allow' must be a list, not a mapping\n"},
    {"who: {groups: [agents]}", "who: {groups: []}",
     "b.yaml:15:19: error: 'groups' is empty\n"
     "    hint: name at least one\n"},
    {"who: {groups: [agents]}", "who: {}",
     "b.yaml:15:10: error: 'who' is empty\n"
     "    hint: name at least one condition\n"},
    {"who: {groups: [agents]}", "who:", "b.yaml:15:9: error: 'who' must be a mapping, not empty\n"},
    {"who: {groups: [agents]}", "who: {groups: {a: b}}",
     "b.yaml:15:19: error: 'groups' must be a list, not a mapping\n"},
    {"tls: {certificate: tls/gw.crt, key: tls/gw.key}", "tls: tls/gw.crt",
     "b.yaml:2:6: error: 'tls' must be a mapping, not 'tls/gw.crt'\n"},
    {"corp", "123",
     "b.yaml:4:11: error: 'name' must be a name of letters, digits, '.', '_' and '-', at most 63, "
     "not '123'\n"
     "    hint: write it in quotes: \"123\"\n"},
    {"corp", "true",
     "b.yaml:4:11: error: 'name' must be a name of letters, digits, '.', '_' and '-', at most 63, "
     "not 'true'\n"
     "    hint: write it in quotes: \"true\"\n"},
    {"corp", "co rp",
     "b.yaml:4:11: error: 'name' must be a name of letters, digits, '.', '_' and '-', at most 63, "
     "not 'co rp'\n"},
    {"corp", "local", "b.yaml:4:11: error: 'local' is the name of the gateway's own issuer\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n", "listen: {postgres: 127.0.0.1:5432}\ndrain: 30\n",
     "b.yaml:2:8: error: 'drain' must be a duration such as 30s, 15m, 12h or 7d, not '30'\n"
     "    hint: add a unit: 30s\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n", "listen: {postgres: 127.0.0.1:5432}\ndrain: 2h\n",
     "b.yaml:2:8: error: 'drain' must be from 0s to 1h\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n", "listen: {postgres: 127.0.0.1:5432}\ndrain: soon\n",
     "b.yaml:2:8: error: 'drain' must be a duration such as 30s, 15m, 12h or 7d, not 'soon'\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlimits: {connections: 0}\n",
     "b.yaml:2:23: error: 'connections' must be from 1 to 8000\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlimits: {connections: many}\n",
     "b.yaml:2:23: error: 'connections' must be a whole number, not 'many'\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nledger: {file_size: 64MB}\n",
     "b.yaml:2:21: error: 'file_size' must be a size such as 64KiB, 256MiB or 2GiB, not '64MB'\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nledger: {file_size: 64}\n",
     "b.yaml:2:21: error: 'file_size' must be a size such as 64KiB, 256MiB or 2GiB, not '64'\n"
     "    hint: add a unit: 64MiB\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nledger: {file_size: 99999999999999999999TiB}\n",
     "b.yaml:2:21: error: 'file_size' must be a size such as 64KiB, 256MiB or 2GiB, not "
     "'99999999999999999999TiB'\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlog: {level: warnin}\n",
     "b.yaml:2:14: error: 'level' cannot be 'warnin'\n"
     "    hint: did you mean 'warning'?\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlog: {format: xml}\n",
     "b.yaml:2:15: error: 'format' cannot be 'xml'\n"
     "    hint: allowed: text, json\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {mask: redact}\n",
     "b.yaml:14:9: error: an entry of 'protect' needs 'columns'\n"
     "    hint: for example \"columns: [public.customers.ssn, \"*.email\"]\"\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: [a.b.c.d]}\n",
     "b.yaml:14:20: error: 'a.b.c.d' has more than 3 parts\n"
     "    hint: a name with a dot in it needs double quotes\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: [a..b]}\n",
     "b.yaml:14:20: error: 'a..b' has an empty part\n"
     "    hint: a pattern is column, table.column or schema.table.column\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: [a.]}\n",
     "b.yaml:14:20: error: 'a.' has an empty part\n"
     "    hint: a pattern is column, table.column or schema.table.column\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: ['a.\"b']}\n",
     "b.yaml:14:20: error: 'a.\"b' has no closing double quote\n"
     "    hint: a quote within a name is written twice\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: ['a.\"b\"c']}\n",
     "b.yaml:14:20: error: 'a.\"b\"c' has something behind a closing double quote\n"
     "    hint: a pattern is column, table.column or schema.table.column\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: ['a.\"\"']}\n",
     "b.yaml:14:20: error: 'a.\"\"' has an empty part\n"
     "    hint: a pattern is column, table.column or schema.table.column\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: [my table.b]}\n",
     "b.yaml:14:20: error: 'my table.b' has a space or a quote in a part without quotes\n"
     "    hint: write it as 'schema.\"My Table\".column': quotes around the whole part\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, paths: x..y}\n",
     "b.yaml:14:29: error: 'x..y' has an empty part\n"
     "    hint: a path is keys with dots between, such as card.number\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, mask: sha}\n",
     "b.yaml:14:28: error: 'mask' cannot be 'sha'\n"
     "    hint: allowed: redact, null, hash, email\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, mask: [redact]}\n",
     "b.yaml:14:28: error: 'mask' must be redact, null, hash, email, {partial: N} or {fixed: "
     "TEXT}, not a list\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, mask: {partial: 0}}\n",
     "b.yaml:14:38: error: 'partial' must be from 1 to 64\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    protect:\n      - {columns: a, mask: {}}\n",
     "b.yaml:14:28: error: 'mask' needs one of 'partial' or 'fixed'\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, mask: {partial: 1, fixed: x}}\n",
     "b.yaml:14:28: error: 'mask' needs only one of 'partial' or 'fixed'\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, mask: hash}\n",
     "b.yaml:14:28: error: mask 'hash' needs a 'mask_key'\n"
     "    hint: add \"mask_key: {file: /path/of/it}\" to the resource\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    mask_key: {file: x}\n",
     "b.yaml:13:5: warning: 'mask_key' has no effect without \"mask: hash\"\n"},
    {"labels: {env: prod}\n",
     "labels: {env: prod}\n    protect:\n      - {columns: a, lookup: equal}\n",
     "b.yaml:14:30: error: 'lookup' cannot be 'equal'\n"
     "    hint: did you mean 'equality'?\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [emial]\n",
     "b.yaml:13:14: error: unknown detector 'emial'\n"
     "    hint: did you mean 'email'?\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [email, email]\n",
     "b.yaml:13:21: error: a second detector called 'email'\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: {name: a, pattern: b}\n",
     "b.yaml:13:13: error: 'detect' must be a list, not a mapping\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [{name: iban, pattern: b}]\n",
     "b.yaml:13:21: error: 'iban' is the name of a built-in detector\n"
     "    hint: give yours another name\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [{name: x, pattern: ''}]\n",
     "b.yaml:13:33: error: 'pattern' must be a regular expression (PCRE2), not empty\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [{name: x, pattern: '(ab'}]\n",
     "b.yaml:13:33: error: detector \"x\": missing closing parenthesis at offset 3 of its "
     "pattern\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [{name: x, pattern: 'a*'}]\n",
     "b.yaml:13:33: error: detector \"x\": its pattern can match the empty string\n"},
    {"labels: {env: prod}\n", "labels: {env: prod}\n    detect: [{name: x}]\n",
     "b.yaml:13:14: error: a detector needs 'pattern'\n"
     "    hint: for example \"pattern: 'TKT-[0-9]{6}'\"\n"},
    {"allow: [read]\n", "allow: [read]\n    limits: {}\n",
     "b.yaml:18:13: error: 'limits' is empty\n"
     "    hint: name at least one limit\n"},
    {"allow: [read]\n", "allow: [read]\n    limits: {rows_per_comand: 1}\n",
     "b.yaml:18:14: error: unknown key 'rows_per_comand' in 'limits'\n"
     "    hint: did you mean 'rows_per_command'?\n"},
    {"allow: [read]\n", "allow: [read]\n    limits: {rows_per_command: 0}\n",
     "b.yaml:18:32: error: 'rows_per_command' must be from 1 to 1000000000000\n"},
    {"allow: [read]\n", "allow: [read]\n    limits: {max_tables: 1025}\n",
     "b.yaml:18:26: error: 'max_tables' must be from 1 to 1024\n"},
    {"deny: never done\n", "deny: never done\n    limits: {read_only: true}\n",
     "b.yaml:21:5: error: 'limits' needs 'allow', 'step_up' or 'defer' beside it\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlocal_issuer: {enabled: yes}\n",
     "b.yaml:2:25: error: 'enabled' must be true or false, not 'yes'\n"
     "    hint: write true or false, without quotes\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n",
     "listen: {postgres: 127.0.0.1:5432}\nlocal_issuer: {enabled: \"true\"}\n",
     "b.yaml:2:25: error: 'enabled' must be true or false, not 'true'\n"
     "    hint: write true or false, without quotes\n"},
    {"https://idp.example.com", "http://idp.example.com",
     "b.yaml:5:13: error: 'issuer' must be an https:// URL, not 'http://idp.example.com'\n"
     "    hint: http:// is allowed only to this machine itself; keys must not come in clear\n"},
    {"https://idp.example.com", "http://127.0.0.1:8080",
     "b.yaml:5:13: warning: 'issuer' is fetched without encryption\n"
     "    hint: use https:// outside of tests\n"},
    {"https://idp.example.com", "http://localhost.example.com",
     "b.yaml:5:13: error: 'issuer' must be an https:// URL, not 'http://localhost.example.com'\n"
     "    hint: http:// is allowed only to this machine itself; keys must not come in clear\n"},
    {"https://idp.example.com", "https://user@idp.example.com",
     "b.yaml:5:13: error: 'issuer' must be an https:// URL, not 'https://user@idp.example.com'\n"},
    {"https://idp.example.com", "https://",
     "b.yaml:5:13: error: 'issuer' must be an https:// URL, not 'https://'\n"},
    {"audience: bulkhead", "enabled: true",
     "b.yaml:4:5: error: an issuer needs 'audience'\n"
     "    hint: for example \"audience: bulkhead\"\n"},
    {"audience: bulkhead", "audience: bulkhead\n    algorithms: [ES265]",
     "b.yaml:7:18: error: unknown algorithm 'ES265'\n"
     "    hint: did you mean 'ES256'?\n"},
    {"audience: bulkhead", "audience: bulkhead\n    algorithms: none",
     "b.yaml:7:17: error: unknown algorithm 'none'\n"
     "    hint: allowed: RS256, PS256, ES256, ES384\n"},
    {"audience: bulkhead", "audience: bulkhead\n    groups_claim: realm..roles",
     "b.yaml:7:19: error: 'groups_claim' must be the path of a claim, with dots between its "
     "members, not 'realm..roles'\n"},
    {"audience: bulkhead", "audience: bulkhead\n    leeway: 2m",
     "b.yaml:7:13: error: 'leeway' must be from 0s to 1m\n"},
    {"db.internal:5432", "db.internal",
     "b.yaml:10:14: error: 'address' must be host:port, \"[IPv6]:port\" or the absolute path of a "
     "socket, not 'db.internal'\n"
     "    hint: add the port: db.internal:5432\n"},
    {"db.internal:5432", "db.internal:65536",
     "b.yaml:10:14: error: 'address' must be host:port, \"[IPv6]:port\" or the absolute path of a "
     "socket, not 'db.internal:65536'\n"},
    {"db.internal:5432", "::1",
     "b.yaml:10:14: error: 'address' must be host:port, \"[IPv6]:port\" or the absolute path of a "
     "socket, not '::1'\n"
     "    hint: write \"[::1]:5432\"\n"},
    {"db.internal:5432", "[::1]:5432",
     "b.yaml:10:15: error: did not find expected node content while parsing a flow node\n"},
    {"db.internal:5432", "1.2.3:5432",
     "b.yaml:10:14: error: 'address' must be host:port, \"[IPv6]:port\" or the absolute path of a "
     "socket, not '1.2.3:5432'\n"},
    {"127.0.0.1:5432", "gateway.example.com:5432",
     "b.yaml:1:20: error: 'postgres' must be an IP address (or localhost) and a port, such as "
     "127.0.0.1:5432, not 'gateway.example.com:5432'\n"
     "    hint: 0.0.0.0 listens on all IPv4 addresses, \"[::]\" on all IPv6 ones\n"},
    {"protocol: postgres", "protocol: postgresql",
     "b.yaml:9:15: error: unknown protocol 'postgresql'\n"
     "    hint: did you mean 'postgres'?\n"},
    {"protocol: postgres", "protocol: ssh",
     "b.yaml:9:15: error: unknown protocol 'ssh'\n"
     "    hint: allowed: postgres\n"},
    {"protocol: postgres\n", "protocol: postgres\n    tls: on\n",
     "b.yaml:10:10: error: 'tls' cannot be 'on'\n"
     "    hint: allowed: off, require, verify-ca, verify-full\n"},
    {"password: {file: sales.pw}", "password: hunter2",
     "b.yaml:11:39: warning: 'password' is written out in the configuration\n"
     "    hint: keep it in a file: {file: /path/of/it}\n"},
    {"password: {file: sales.pw}", "password: {vault: x}",
     "b.yaml:11:39: error: 'password' must be a secret: {file: PATH}, {env: NAME} or text, not a "
     "mapping\n"},
    {"password: {file: sales.pw}", "password: {file: [a]}",
     "b.yaml:11:46: error: 'file' must be the path of a file\n"},
    {"password: {file: sales.pw}", "certificate: c.crt",
     "b.yaml:11:29: error: 'certificate' needs 'key' beside it\n"},
    {"    credential: {user: app, password: {file: sales.pw}}\n", "",
     "b.yaml:9:5: error: a resource needs 'credential'\n"
     "    hint: for example \"credential: {user: bulkhead_ro, password: {file: "
     "/run/secrets/analytics}}\"\n"},
    {"  sales:", "  sales/prod:",
     "b.yaml:8:3: error: a key of 'resources' must be a name of letters, digits, '.', '_' and '-', "
     "at most 63, not 'sales/prod'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    from: 10.0.0.1/8\n",
     "b.yaml:18:11: error: '10.0.0.1/8' has bits set after its prefix\n"
     "    hint: did you mean '10.0.0.0/8'?\n"},
    {"    allow: [read]\n", "    allow: [read]\n    from: [2001:db8::/129]\n",
     "b.yaml:18:12: error: the prefix length of '2001:db8::/129' must be from 0 to 128\n"},
    {"    allow: [read]\n", "    allow: [read]\n    from: [10.0.0.0/33, here]\n",
     "b.yaml:18:12: error: the prefix length of '10.0.0.0/33' must be from 0 to 32\n"
     "b.yaml:18:25: error: 'from' must be an IP address or network such as 10.0.0.0/8, not "
     "'here'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    when: [{days: monday}]\n",
     "b.yaml:18:19: error: 'days' must be a day or days: mon, tue, wed, thu, fri, sat, sun, or a "
     "range such as mon-fri, not 'monday'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    when: [{from: 8am}]\n",
     "b.yaml:18:19: error: 'from' must be a time of day in quotes, such as \"08:00\", not '8am'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    when: [{from: \"08:00\", to: \"08:00\"}]\n",
     "b.yaml:18:32: error: the window ends when it begins: it can never apply\n"
     "    hint: leave out both for the whole day\n"},
    {"    allow: [read]\n", "    allow: [read]\n    when: [{from: \"24:00\"}]\n",
     "b.yaml:18:19: error: a window cannot begin at 24:00\n"
     "    hint: write \"00:00\" and name the next day\n"},
    {"    allow: [read]\n", "    allow: [read]\n    when: [{}]\n",
     "b.yaml:18:12: error: 'when' is empty\n"
     "    hint: name at least one condition\n"},
    {"deny: never done", "deny: \"\"", "b.yaml:20:11: error: 'deny' must be text, not empty\n"},
    {"    allow: [read]\n", "",
     "b.yaml:14:5: error: a policy needs one of 'allow', 'deny', "
     "'step_up' or 'defer'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    deny: x\n",
     "b.yaml:14:5: error: a policy needs only one of 'allow', 'deny', "
     "'step_up' or 'defer'\n"},
    {"    allow: [read]\n", "    allow: [read]\n    commands: [ddl]\n",
     "b.yaml:18:5: error: 'commands' needs 'deny', 'step_up' or 'defer' beside it\n"},
    {"allow: [read]", "allow: [raed]",
     "b.yaml:17:13: error: unknown command class 'raed'\n"
     "    hint: did you mean 'read'?\n"},
    {"allow: [read]", "allow: [all, read]",
     "b.yaml:17:12: error: 'all' stands beside other command classes\n"
     "    hint: leave out either 'all' or the others\n"},
    {"allow: [read]", "allow: []",
     "b.yaml:17:12: error: 'allow' is empty\n"
     "    hint: name at least one\n"},
    {"name: never", "name: read",
     "b.yaml:18:11: error: a second policy called 'read'; the first is on line 14\n"},
    {"  - name: never\n    commands", "  - commands",
     "b.yaml:18:5: error: a policy needs 'name'\n"
     "    hint: for example \"name: analysts read\"\n"},
    {"resources: {labels: {env: prod}}", "resources: {names: [sale, \"x*\"]}",
     "b.yaml:16:25: error: no resource is called 'sale'\n"
     "    hint: did you mean 'sales'?\n"
     "b.yaml:16:31: error: no resource is called 'x*'\n"
     "    hint: resources: sales\n"},
    {"resources: {labels: {env: prod}}", "resources: {labels: {evn: prod}}",
     "b.yaml:16:26: error: no resource has a label 'evn'\n"},
    {"resources: {labels: {env: prod}}", "resources: {labels: {env: [prod, test]}}",
     "b.yaml:16:38: error: no resource has the label env: 'test'\n"},
    {"resources: {labels: {env: prod}}", "resources: {protocols: mysql}",
     "b.yaml:16:28: error: unknown protocol 'mysql'\n"
     "    hint: allowed: postgres\n"},
    {"who: {groups: [agents]}", "who: {issuers: [crop]}",
     "b.yaml:15:21: error: there is no issuer 'crop'\n"
     "    hint: did you mean 'corp'?\n"},
    {"who: {groups: [agents]}", "who: {issuers: local}",
     "b.yaml:15:20: warning: issuer 'local' is disabled\n"},
    {"audience: bulkhead", "audience: bulkhead\n    enabled: false",
     "b.yaml:3:1: warning: there is no enabled issuer: nobody can be authenticated\n"
     "    hint: add an entry to 'issuers', or \"local_issuer: {enabled: true}\"\n"},
    {"resources:\n  sales:",
     "  - {name: corp, issuer: https://other.example.com, audience: b}\nresources:\n  sales:",
     "b.yaml:7:12: error: a second issuer called 'corp'\n"},
    {"resources:\n  sales:",
     "  - {name: other, issuer: https://idp.example.com, audience: b}\nresources:\n  sales:",
     "b.yaml:7:27: error: 'https://idp.example.com' is an issuer already: 'corp'\n"
     "    hint: one entry may have several audiences\n"},
    {"listen: {postgres: 127.0.0.1:5432}",
     "listen: [{protocol: postgres, address: 127.0.0.1:5432, resource: slaes}]",
     "b.yaml:1:66: error: there is no resource 'slaes'\n"
     "    hint: did you mean 'sales'?\n"},
    {"listen: {postgres: 127.0.0.1:5432}", "listen: [{address: 127.0.0.1:5432}]",
     "b.yaml:1:10: error: a listener needs 'protocol'\n"
     "    hint: for example \"protocol: postgres\"\n"},
    {"listen: {postgres: 127.0.0.1:5432}",
     "listen: [{protocol: postgres, address: localhost:5432}, {protocol: postgres, address: "
     "127.0.0.1:5432}]",
     "b.yaml:1:87: error: 127.0.0.1:5432 is taken already, on line 1\n"},
    {"    labels: {env: prod}\npol", "    labels: {env: prod}\n    listen: 127.0.0.1:5432\npol",
     "b.yaml:13:13: error: 127.0.0.1:5432 is taken already, on line 1\n"},
    {"listen: {postgres: 127.0.0.1:5432}\n", "",
     "b.yaml:1:1: error: there is no listener: nobody could connect\n"
     "    hint: for example \"listen: {postgres: 127.0.0.1:5432}\"\n"},
    {"tls: {certificate: tls/gw.crt, key: tls/gw.key}\n", "",
     "b.yaml:1:20: error: no client can use 127.0.0.1:5432: there is no 'tls', and tokens in clear "
     "are not allowed\n"
     "    hint: add 'tls', or, on a machine of your own, \"postgres: {cleartext_on_loopback: "
     "true}\"\n"},
    {"listen: {postgres: 127.0.0.1:5432}\ntls: {certificate: tls/gw.crt, key: tls/gw.key}\n",
     "listen: {postgres: 0.0.0.0:5432}\n",
     "b.yaml:1:20: error: 0.0.0.0:5432 can be reached by other machines, but there is no 'tls'\n"
     "    hint: clients send their token there: add \"tls: {certificate: FILE, key: FILE}\", or "
     "listen on 127.0.0.1\n"},
    {"protocol: postgres\n", "protocol: postgres\n    tls: off\n",
     "b.yaml:10:10: warning: data crosses the network to 'db.internal' in clear\n"
     "    hint: use \"tls: verify-full\"\n"},
    {"protocol: postgres\n", "protocol: postgres\n    tls: require\n",
     "b.yaml:10:10: warning: the certificate of 'db.internal' is not verified: anyone in between "
     "could read along\n"
     "    hint: use \"tls: verify-full\"\n"},
    {"address: db.internal:5432", "address: /run/pg\n    tls: require",
     "b.yaml:11:10: error: there is no TLS over a Unix socket\n"
     "    hint: leave it out\n"},
    {"address: db.internal:5432", "address: /run/pg\n    ca: x",
     "b.yaml:11:5: warning: 'ca' has no effect without TLS to the target\n"},
    {"commands: drop-database", "commands: read",
     "b.yaml:17:5: error: this can never allow anything: policy 'never' denies all of it\n"
     "    hint: an explicit deny always wins; remove this policy or narrow the other\n"},
    {"    commands: drop-database\n", "",
     "b.yaml:17:5: warning: policy 'never' stops everything that this allows\n"},
    {"commands: drop-database", "resources: {names: \"s*\"}\n    who: {groups: \"a*\"}",
     "b.yaml:17:5: warning: policy 'never' stops everything that this allows\n"},
    {"resources: {labels: {env: prod}}\n    allow: [read]",
     "allow: [read, session]\n    tables: [a]",
     "b.yaml:16:12: warning: transactions and settings have no table, schema or function: this "
     "does not allow them\n"
     "    hint: write another policy without them that allows [session]\n"},
    {"    labels: {env: prod}\npol",
     "    labels: {env: prod}\n  other:\n    protocol: postgres\n    address: other:1\n    "
     "credential: {user: a}\n    labels: {env: test}\npol",
     "b.yaml:13:3: warning: no policy allows anything on resource 'other'\n"
     "    hint: add a policy with 'allow' for it\n"},
    {"resources: {labels: {env: prod}}\n    allow",
     "resources: {names: other, labels: {env: prod}}\n    allow",
     "b.yaml:16:24: error: no resource is called 'other'\n"
     "    hint: resources: sales\n"},
};

/* The same with humans in it. */
static const char with_people[] =
    "listen: {postgres: 127.0.0.1:5432, console: 0.0.0.0:9443}\n"
    "tls: {certificate: tls/gw.crt, key: tls/gw.key}\n"
    "issuers:\n"
    "  - {name: corp, issuer: 'https://idp.example.com', audience: bulkhead, task_claim: task.id}\n"
    "resources:\n"
    "  sales: {protocol: postgres, address: 'db:5432', credential: {user: app}}\n"
    "console:\n"
    "  url: https://gw.example.com:9443/\n"
    "  login: {issuer: corp, client_id: console, client_secret: {env: CONSOLE_SECRET}}\n"
    "  roles: {admin: [sre, 'ops-*'], auditor: audit}\n"
    "store:\n"
    "  sqlite: control.db\n"
    "recordings:\n"
    "  directory: recordings\n"
    "  public_key: recordings.pub\n"
    "notifications:\n"
    "  - {name: hook, webhook: {url: 'https://hooks/x', secret: {file: hook}}, events: approval}\n"
    "  - {name: chat, slack: {url: 'https://slack/x', signing_secret: {file: s}, users: {U1: "
    "anna}}}\n"
    "  - {name: room, teams: {url: 'https://teams/x'}}\n"
    "  - {name: mail, email: {relay: 'smtps://mail:465', from: gw@example.com, to: "
    "[a@example.com]}}\n"
    "policies:\n"
    "  - name: read\n"
    "    allow: [read, session]\n"
    "    record: {rows: true, retention: 365d}\n"
    "  - name: ddl\n"
    "    commands: ddl\n"
    "    step_up:\n"
    "      approvers: {groups: [oncall], subjects: [anna]}\n"
    "      approvals: 2\n"
    "  - name: write\n"
    "    commands: write\n"
    "    defer: say which ticket this is for\n"
    "  - name: visit\n"
    "    on: connect\n"
    "    step_up: {approvers: {groups: [oncall]}, valid_for: 2h}\n";

static const struct mistake mistakes_with_people[] = {
    {"", "", ""}, /* none */
    {", console: 0.0.0.0:9443", "",
     "b.yaml:7:1: error: there is a 'console', but nothing listens for it\n"
     "    hint: add \"console: 0.0.0.0:9443\" to 'listen'\n"},
    {"console:\n"
     "  url: https://gw.example.com:9443/\n"
     "  login: {issuer: corp, client_id: console, client_secret: {env: CONSOLE_SECRET}}\n"
     "  roles: {admin: [sre, 'ops-*'], auditor: audit}\n",
     "",
     "b.yaml:1:1: error: the console listens, but there is no 'console'\n"
     "    hint: add \"console: {url: https://HOST:PORT}\", as people reach it\n"},
    {"0.0.0.0:9443", "127.0.0.1:5432",
     "b.yaml:1:45: error: 127.0.0.1:5432 is taken already, on line 1\n"},
    {"{postgres: 127.0.0.1:5432, console: 0.0.0.0:9443}",
     "\n  - {protocol: console, address: 127.0.0.1:9443}\n"
     "  - {protocol: console, address: 127.0.0.1:9444, resource: sales}",
     "b.yaml:3:34: error: the console listens at one address only\n"
     "b.yaml:3:60: error: the console leads to no resource\n"},
    {"tls: {certificate: tls/gw.crt, key: tls/gw.key}", "postgres: {cleartext_on_loopback: true}",
     "b.yaml:1:45: error: the console is always HTTPS, but there is no 'tls'\n"
     "    hint: add \"tls: {certificate: FILE, key: FILE}\"\n"},
    {"https://gw.example.com:9443/", "http://127.0.0.1:9443",
     "b.yaml:8:8: warning: 'url' is fetched without encryption\n"
     "    hint: use https:// outside of tests\n"
     "b.yaml:8:8: error: the console is reached by HTTPS only\n"
     "    hint: write https://\n"},
    {"https://gw.example.com:9443/", "https://gw.example.com:9443/console",
     "b.yaml:8:8: error: the console has a host and a port of its own, without a path\n"
     "    hint: write \"https://gw.example.com:9443\"\n"},
    {"issuer: corp", "issuer: crop",
     "b.yaml:9:19: error: there is no issuer 'crop'\n"
     "    hint: did you mean 'corp'?\n"},
    {"issuer: corp", "issuer: local",
     "b.yaml:9:19: error: 'local' is the gateway's own issuer, which has no login page\n"
     "    hint: people log in with its tokens without this\n"},
    {"client_id: console, ", "",
     "b.yaml:9:10: error: 'login' needs 'client_id'\n"
     "    hint: for example \"client_id: bulkhead-console\"\n"},
    {"client_id: console", "client_id: console, scopes: profile email",
     "b.yaml:9:53: error: without 'openid' the provider does not say who logs in\n"
     "    hint: add openid\n"},
    {"audience: bulkhead,", "audience: bulkhead, enabled: false,",
     "b.yaml:3:1: warning: there is no enabled issuer: nobody can be authenticated\n"
     "    hint: add an entry to 'issuers', or \"local_issuer: {enabled: true}\"\n"
     "b.yaml:9:19: warning: issuer 'corp' is disabled\n"},
    {"roles: {admin: [sre, 'ops-*'], auditor: audit}", "roles: {}",
     "b.yaml:10:10: error: 'roles' is empty\n"
     "    hint: name at least one role\n"},
    {"task_claim: task.id", "task_claim: .id",
     "b.yaml:4:85: error: 'task_claim' must be the path of a claim, with dots between its "
     "members, not '.id'\n"},
    {"  sqlite: control.db\n", "  {}\n",
     "b.yaml:12:3: error: 'store' needs one of 'sqlite' or 'postgresql'\n"},
    {"  sqlite: control.db\n", "  postgresql: {connection: 'host=db PASSWORD = x dbname=b'}\n",
     "b.yaml:12:28: error: a connection string does not hold the password\n"
     "    hint: write it as \"password: {file: FILE}\" beside it\n"},
    {"  public_key: recordings.pub\n", "",
     "b.yaml:14:3: error: 'recordings' needs 'public_key'\n"
     "    hint: for example \"public_key: recordings.pub\"\n"},
    {"  public_key: recordings.pub\n",
     "  public_key: recordings.pub\n  s3: {endpoint: 'https://s3'}\n",
     "b.yaml:16:7: error: 's3' needs 'bucket'\n"
     "    hint: for example \"bucket: bulkhead-recordings\"\n"
     "b.yaml:16:7: error: 's3' needs 'access_key'\n"
     "    hint: for example \"access_key: {file: /run/secrets/s3-access}\"\n"
     "b.yaml:16:7: error: 's3' needs 'secret_key'\n"
     "    hint: for example \"secret_key: {file: /run/secrets/s3-secret}\"\n"},
    {"recordings:\n  directory: recordings\n  public_key: recordings.pub\n", "",
     "b.yaml:21:5: error: there are no recordings: 'record' has no meaning\n"
     "    hint: add \"recordings: {directory: DIRECTORY, public_key: FILE}\"\n"},
    {"events: approval", "events: approvals",
     "b.yaml:17:83: error: unknown event 'approvals'\n"
     "    hint: did you mean 'approval'?\n"},
    {"name: chat", "name: hook", "b.yaml:18:12: error: a second notification called 'hook'\n"},
    {"{U1: anna}", "{U1: anna, U2: anna}",
     "b.yaml:18:99: warning: 'anna' may decide as two members of the chat\n"},
    {"signing_secret: {file: s}, ", "",
     "b.yaml:18:50: error: 'users' needs 'signing_secret' beside it\n"},
    {", teams: {url: 'https://teams/x'}", "",
     "b.yaml:19:5: error: an entry of 'notifications' needs one of 'webhook', 'slack', 'teams' or "
     "'email'\n"},
    {"smtps://mail:465", "mail:25",
     "b.yaml:20:33: error: 'relay' must be the address of a mail relay: smtp://HOST:PORT or "
     "smtps://HOST:PORT, not 'mail:25'\n"},
    {"smtps://mail:465", "smtp://mail",
     "b.yaml:20:33: error: 'relay' must be the address of a mail relay: smtp://HOST:PORT or "
     "smtps://HOST:PORT, not 'smtp://mail'\n"
     "    hint: add the port: smtp://mail:587\n"},
    {"gw@example.com", "'gw <gw@example.com>'",
     "b.yaml:20:59: error: 'from' must be an e-mail address, not 'gw <gw@example.com>'\n"},
    {"from: gw@example.com", "user: gw, from: gw@example.com",
     "b.yaml:20:53: error: 'user' needs 'password' beside it\n"},
    {"retention: 365d", "retention: 1h",
     "b.yaml:24:37: error: 'retention' must be from 1d to 3650d\n"},
    {"      approvers: {groups: [oncall], subjects: [anna]}\n", "",
     "b.yaml:28:7: error: 'step_up' needs 'approvers'\n"
     "    hint: for example \"approvers: {groups: [oncall]}\"\n"},
    {"{groups: [oncall], subjects: [anna]}", "{}",
     "b.yaml:28:18: error: 'approvers' is empty\n"
     "    hint: name at least one condition\n"},
    {"{groups: [oncall], subjects: [anna]}", "{groups: []}",
     "b.yaml:28:27: error: 'groups' is empty\n"
     "    hint: name at least one\n"},
    {"{groups: [oncall], subjects: [anna]}", "{subjects: [anna]}",
     "b.yaml:29:18: error: 2 people must approve, but 'approvers' names only 1\n"},
    {"approvals: 2", "approvals: 21", "b.yaml:29:18: error: 'approvals' must be from 1 to 20\n"},
    {"approvals: 2", "wait: 25h", "b.yaml:29:13: error: 'wait' must be from 1s to 1d\n"},
    {"approvals: 2", "wait: 0s", "b.yaml:29:13: error: 'wait' must be from 1s to 1d\n"},
    {"approvals: 2", "wait: 30s", ""},
    {"approvals: 2", "wait_in_transaction: 20m",
     "b.yaml:29:28: error: 'wait_in_transaction' is longer than 'wait'\n"
     "    hint: locks are held meanwhile: make it short\n"},
    {"approvals: 2", "valid_for: 15m",
     "b.yaml:29:7: error: an approval of scope 'once' serves the waiting command only: 'valid_for' "
     "has no meaning\n"
     "    hint: add \"scope: for_session\" or \"scope: for_task\"\n"},
    {"approvals: 2", "scope: for_task",
     "b.yaml:29:14: error: this scope needs 'valid_for': how long an approval serves\n"
     "    hint: for example \"valid_for: 15m\"\n"},
    {"approvals: 2", "scope: for_task\n      valid_for: 15m", ""},
    {"approvals: 2", "scope: forever",
     "b.yaml:29:14: error: 'scope' cannot be 'forever'\n"
     "    hint: allowed: once, for_session, for_task\n"},
    {"approvals: 2", "preview: dry-run",
     "b.yaml:29:16: error: 'preview' cannot be 'dry-run'\n"
     "    hint: did you mean 'dry_run'?\n"},
    {"approvals: 2", "break_glass: {}",
     "b.yaml:29:20: error: 'break_glass' needs 'groups'\n"
     "    hint: for example \"groups: [incident-commanders]\"\n"},
    {"    defer: say which ticket this is for\n", "    allow: all\n",
     "b.yaml:31:5: error: 'commands' needs 'deny', 'step_up' or 'defer' beside it\n"},
    {"    on: connect\n", "    on: connect\n    tables: [t]\n    limits: {read_only: true}\n",
     "b.yaml:35:5: error: with 'on: connect' there is no command yet that 'tables' could be about\n"
     "    hint: write another policy for what is done then\n"
     "b.yaml:36:5: error: with 'on: connect' there is no command yet that 'limits' could be about\n"
     "    hint: write another policy for what is done then\n"},
    {"step_up: {approvers: {groups: [oncall]}, valid_for: 2h}", "allow: [read]",
     "b.yaml:34:9: error: 'on: connect' is for policies with 'step_up'\n"
     "    hint: 'who', 'resources', 'from' and 'when' of an allow say who may connect\n"},
    {"valid_for: 2h", "scope: for_session",
     "b.yaml:35:46: error: a grant of access has no 'scope'\n"
     "    hint: 'valid_for' is the longest access that may be asked for\n"},
    {"  - name: visit\n", "  - name: never\n    commands: ddl\n    deny: no\n  - name: visit\n",
     "b.yaml:27:5: error: this can never allow anything: policy 'never' denies all of it\n"
     "    hint: an explicit deny always wins; remove this policy or narrow the other\n"},
    {"allow: [read, session]\n    record: {rows: true, retention: 365d}\n",
     "deny: no\n    record: {rows: true}\n    commands: read\n",
     "b.yaml:24:5: error: 'record' needs 'allow', 'step_up' or 'defer' beside it\n"},
};

/* What a test parses into. */
struct parsed {
    struct arena *arena;
    struct buf text;
    struct config_report report;
    struct config *config;
    enum err err;
};

static struct parsed *
parse(struct str text)
{
    struct parsed *p = test_calloc(1, sizeof(*p));

    p->arena = arena_new(256 << 20);
    p->text = buf_make(1 << 20);
    p->report.text = &p->text;
    p->err = config_parse(text, STR("/etc/bulkhead/b.yaml"), p->arena, &p->report, &p->config);
    return p;
}

static void
end(struct parsed *p)
{
    arena_free(p->arena);
    buf_free(&p->text);
    test_free(p);
}

static char *
read_whole_file(const char *path)
{
    char *text = test_calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    if (f == NULL)
        fail_msg("cannot read %s", path);
    text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void
assert_str(struct str found, const char *expected)
{
    if (!str_is(found, expected))
        fail_msg("found \"%.*s\", expected \"%s\"", STR_ARG(found), expected);
}

/* The report of `text`, as from a file called b.yaml, must be `expected`. */
static void
assert_report(struct str text, const char *expected)
{
    struct arena *arena = arena_new(64 << 20);
    struct buf report_text = buf_make(1 << 20);
    struct config_report report = {.text = &report_text};
    struct config *config = NULL;
    enum err e = config_parse(text, STR("b.yaml"), arena, &report, &config);

    if (!str_is(buf_str(&report_text), expected))
        fail_msg("%.*s\n--- reports\n%.*s--- not\n%s", STR_ARG(text),
                 STR_ARG(buf_str(&report_text)), expected);
    assert_int_equal(e, strstr(expected, ": error: ") == NULL ? OK : ERR_INVALID);
    assert_int_equal(config != NULL, e == OK);
    arena_free(arena);
    buf_free(&report_text);
}

/* A copy of `text` with `written` in place of the first `instead_of`. */
static char *
change(const char *text, const char *instead_of, const char *written)
{
    const char *at = strstr(text, instead_of);
    size_t n = strlen(text) + strlen(written) + 1;
    char *changed = test_malloc(n);

    assert_non_null(at);
    snprintf(changed, n, "%.*s%s%s", (int)(at - text), text, written, at + strlen(instead_of));
    return changed;
}

static void
test_each_mistake_is_reported_with_its_place_and_a_hint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *text = change(good, mistakes[i].instead_of, mistakes[i].written);

        assert_report(str_from(text), mistakes[i].report);
        test_free(text);
    }
}

static void
test_mistakes_about_people_are_reported_likewise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes_with_people) / sizeof(mistakes_with_people[0]); i++) {
        const struct mistake *m = &mistakes_with_people[i];
        char *text = change(with_people, m->instead_of, m->written);

        assert_report(str_from(text), m->report);
        test_free(text);
    }
}

/* Approvals are nothing without a place to decide: each way of having none is told. */
static void
test_approvals_need_the_console(void **state)
{
    char *text = change(with_people, ", console: 0.0.0.0:9443", ""), *without;
    const char *from = strstr(text, "console:\n"), *to = strstr(text, "store:\n");

    (void)state;
    assert_true(from != NULL && to != NULL);
    without = test_malloc(strlen(text) + 1);
    snprintf(without, strlen(text) + 1, "%.*s%s", (int)(from - text), text, to);
    assert_report(str_from(without),
                  "b.yaml:23:5: error: approvals need the console: without it nobody could decide\n"
                  "    hint: add \"listen: {console: 0.0.0.0:9443}\" and "
                  "\"console: {url: https://HOST:9443}\"\n"
                  "b.yaml:31:5: error: approvals need the console: without it nobody could decide\n"
                  "    hint: add \"listen: {console: 0.0.0.0:9443}\" and "
                  "\"console: {url: https://HOST:9443}\"\n");
    test_free(without);
    test_free(text);
}

static void
test_people_are_read_as_they_are_meant(void **state)
{
    struct parsed *p = parse(str_from(with_people));
    const struct config *c = p->config;
    const struct policy_rule *ddl, *visit;

    (void)state;
    assert_int_equal(p->err, OK);
    assert_int_equal(p->report.warnings, 0);
    assert_int_equal(c->n_listens, 1);
    assert_str(c->console_listen.host, "0.0.0.0");
    assert_int_equal(c->console_listen.port, 9443);
    assert_str(c->issuers[0].task_claim, "task.id");
    assert_str(c->console.url, "https://gw.example.com:9443");
    assert_str(c->console.login_issuer, "corp");
    assert_int_equal(c->console.client_secret.source, SECRET_ENV);
    assert_str(c->console.scopes, "openid profile email");
    assert_int_equal(c->console.admins.n, 2);
    assert_str(c->console.auditors.items[0], "audit");
    assert_int_equal(c->console.viewers.n, 0);
    assert_int_equal(c->console.session_seconds, 8 * 3600);
    assert_int_equal(c->store.kind, CONFIG_STORE_SQLITE);
    assert_str(c->store.path, "/etc/bulkhead/control.db");
    assert_str(c->recordings.directory, "/etc/bulkhead/recordings");
    assert_str(c->recordings.public_key, "/etc/bulkhead/recordings.pub");
    assert_int_equal(c->recordings.retention_seconds, 90 * 86400);
    assert_int_equal(c->n_notifications, 4);
    assert_int_equal(c->notifications[0].kind, NOTIFY_WEBHOOK);
    assert_str(c->notifications[0].events.items[0], "approval");
    assert_str(c->notifications[0].secret.value, "/etc/bulkhead/hook");
    assert_int_equal(c->notifications[1].kind, NOTIFY_SLACK);
    assert_str(c->notifications[1].users[0].id, "U1");
    assert_str(c->notifications[1].users[0].subject, "anna");
    assert_int_equal(c->notifications[2].kind, NOTIFY_TEAMS);
    assert_str(c->notifications[2].url, "https://teams/x");
    assert_int_equal(c->notifications[3].kind, NOTIFY_EMAIL);
    assert_str(c->notifications[3].url, "smtps://mail:465");
    assert_str(c->notifications[3].to.items[0], "a@example.com");
    assert_true(c->policies[0].record.rows);
    assert_int_equal(c->policies[0].record.retention_seconds, 365 * 86400);
    ddl = &c->policies[1];
    assert_int_equal(ddl->verdict, VERDICT_STEP_UP);
    assert_int_equal(ddl->on, RULE_ON_COMMAND);
    assert_int_equal(ddl->classes, CLASSES(DDL));
    assert_str(ddl->step_up.approver_groups.items[0], "oncall");
    assert_str(ddl->step_up.approver_subjects.items[0], "anna");
    assert_int_equal(ddl->step_up.approvals, 2);
    assert_int_equal(ddl->step_up.wait_seconds, 600);
    assert_int_equal(ddl->step_up.wait_in_transaction_seconds, 60);
    assert_int_equal(ddl->step_up.scope, STEP_UP_ONCE);
    assert_int_equal(ddl->step_up.preview, PREVIEW_ESTIMATE);
    assert_int_equal(ddl->step_up.break_glass_groups.n, 0);
    assert_int_equal(c->policies[2].verdict, VERDICT_DEFER);
    assert_str(c->policies[2].message, "say which ticket this is for");
    visit = &c->policies[3];
    assert_int_equal(visit->verdict, VERDICT_STEP_UP);
    assert_int_equal(visit->on, RULE_ON_CONNECT);
    assert_int_equal(visit->step_up.valid_seconds, 2 * 3600);
    end(p);
}

static void
test_all_mistakes_are_reported_in_the_order_of_the_file(void **state)
{
    (void)state;
    assert_report(
        STR("listn: x\n"
            "drain: 30\n"
            "resources:\n"
            "  a: {protocol: ssh, address: nowhere}\n"
            "policies:\n"
            "  - {name: p, allow: raed, form: x}\n"),
        "b.yaml:1:1: error: unknown key 'listn' in the file\n"
        "    hint: did you mean 'listen'?\n"
        "b.yaml:2:8: error: 'drain' must be a duration such as 30s, 15m, 12h or 7d, not "
        "'30'\n"
        "    hint: add a unit: 30s\n"
        "b.yaml:4:6: error: a resource needs 'credential'\n"
        "    hint: for example \"credential: {user: bulkhead_ro, password: {file: "
        "/run/secrets/analytics}}\"\n"
        "b.yaml:4:17: error: unknown protocol 'ssh'\n"
        "    hint: allowed: postgres\n"
        "b.yaml:4:31: error: 'address' must be host:port, \"[IPv6]:port\" or the absolute "
        "path of a socket, not 'nowhere'\n"
        "    hint: add the port: nowhere:5432\n"
        "b.yaml:6:22: error: unknown command class 'raed'\n"
        "    hint: did you mean 'read'?\n"
        "b.yaml:6:28: error: unknown key 'form' in a policy\n"
        "    hint: did you mean 'from'?\n");
}

static void
test_a_report_has_an_end(void **state)
{
    struct buf text = buf_make(1 << 20);
    struct parsed *p;

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_printf(&text, "unknown_%d: x\n", i);
    p = parse(buf_str(&text));
    assert_int_equal(p->err, ERR_INVALID);
    assert_true(p->report.errors >= 10000);
    assert_non_null(memmem(p->text.ptr, p->text.len, "more problems are not shown", 27));
    end(p);
    buf_free(&text);
}

static void
test_defaults_are_safe(void **state)
{
    struct parsed *p = parse(str_from(good));
    const struct config *c = p->config;

    (void)state;
    assert_int_equal(p->err, OK);
    assert_int_equal(p->report.errors + p->report.warnings, 0);
    assert_str(c->path, "/etc/bulkhead/b.yaml");
    assert_str(c->state_directory, "/var/lib/bulkhead/state");
    assert_str(c->runtime_directory, "/run/bulkhead");
    assert_str(c->ledger_directory, "/var/lib/bulkhead/ledger");
    assert_int_equal(c->ledger_file_bytes, 256 << 20);
    assert_int_equal(c->ledger_min_free_bytes, 256 << 20);
    assert_false(c->log_json);
    assert_int_equal(c->log_level, 1);
    assert_false(c->cleartext_on_loopback);
    assert_int_equal(c->drain_seconds, 30);
    assert_int_equal(c->limits.connections, 1000);
    assert_int_equal(c->limits.unauthenticated, 128);
    assert_int_equal(c->limits.unauthenticated_per_source, 32);
    assert_int_equal(c->limits.handshake_seconds, 15);
    assert_int_equal(c->limits.handshake_bytes, 64 << 10);
    assert_false(c->local_issuer.enabled);
    assert_int_equal(c->local_issuer.max_ttl_seconds, 3600);
    assert_true(c->issuers[0].enabled);
    assert_int_equal(c->issuers[0].algorithms.n, 4);
    assert_str(c->issuers[0].algorithms.items[3], "ES384");
    assert_int_equal(c->issuers[0].types.n, 2);
    assert_str(c->issuers[0].types.items[0], "at+jwt");
    assert_str(c->issuers[0].subject_claim, "sub");
    assert_int_equal(c->issuers[0].max_lifetime_seconds, 86400);
    assert_int_equal(c->issuers[0].leeway_seconds, 30);
    assert_int_equal(c->resources[0].tls, CONFIG_TLS_VERIFY_FULL);
    assert_int_equal(c->resources[0].connect_seconds, 10);
    assert_int_equal(c->resources[0].client_key.source, SECRET_NONE);
    end(p);
}

static void
test_relative_paths_start_at_the_folder_of_the_file(void **state)
{
    struct parsed *p = parse(str_from(good));

    (void)state;
    assert_int_equal(p->err, OK);
    assert_str(p->config->tls_certificate, "/etc/bulkhead/tls/gw.crt");
    assert_int_equal(p->config->tls_key.source, SECRET_FILE);
    assert_str(p->config->tls_key.value, "/etc/bulkhead/tls/gw.key");
    assert_int_equal(p->config->resources[0].password.source, SECRET_FILE);
    assert_str(p->config->resources[0].password.value, "/etc/bulkhead/sales.pw");
    end(p);
}

static void
test_the_sample_is_read_as_it_is_meant(void **state)
{
    char *text = read_whole_file(SAMPLE);
    struct parsed *p = parse(str_from(text));
    const struct config *c = p->config;
    const struct policy_rule *night;

    (void)state;
    assert_int_equal(p->err, OK);
    assert_int_equal(p->report.warnings, 0);
    assert_int_equal(c->n_listens, 2);
    assert_str(c->listens[0].address.host, "0.0.0.0");
    assert_int_equal(c->listens[0].address.port, 5432);
    assert_str(c->listens[0].protocol, "postgres");
    assert_str(c->listens[0].resource, "");
    assert_str(c->listens[1].resource, "sandbox");
    assert_int_equal(c->listens[1].address.port, 6432);
    assert_int_equal(c->n_resources, 2);
    assert_ptr_equal(config_find_resource(c, STR("sandbox")), &c->resources[1]);
    assert_null(config_find_resource(c, STR("sand")));
    assert_str(c->resources[1].address.host, "/run/postgresql/.s.PGSQL.5432");
    assert_int_equal(c->resources[1].address.port, 0);
    assert_int_equal(c->resources[1].tls, CONFIG_TLS_OFF);
    assert_str(c->resources[0].labels[1].key, "data");
    assert_str(c->resources[0].labels[1].values.items[0], "personal");
    assert_str(c->resources[0].user, "bulkhead_ro");
    assert_int_equal(c->n_policies, 5);
    night = &c->policies[2];
    assert_int_equal(night->verdict, VERDICT_ALLOW);
    assert_int_equal(night->classes, CLASSES(INSERT));
    assert_str(night->subjects.items[0], "report-*");
    assert_str(night->issuers.items[0], "corp");
    assert_int_equal(night->times[0].days, 0x1f);
    assert_int_equal(night->times[0].from_minute, 22 * 60);
    assert_int_equal(night->times[0].to_minute, 5 * 60);
    assert_int_equal(night->sources[0].prefix_bits, 104);
    assert_int_equal(night->sources[0].address.s6_addr[10], 0xff);
    assert_int_equal(night->sources[0].address.s6_addr[12], 10);
    assert_int_equal(c->policies[4].verdict, VERDICT_DENY);
    assert_int_equal(c->policies[4].classes,
                     CLASSES(DROP_DATABASE) | CLASSES(COPY_PROGRAM) | CLASSES(SERVER_FILES));
    end(p);
    test_free(text);
}

static void
test_the_sample_with_humans_has_no_problems(void **state)
{
    char *text = read_whole_file(BULKHEAD_SOURCE_ROOT "/deploy/approvals.yaml");
    struct parsed *p = parse(str_from(text));

    (void)state;
    if (p->text.len > 0)
        fail_msg("%.*s", STR_ARG(buf_str(&p->text)));
    assert_int_equal(p->err, OK);
    assert_int_equal(p->config->n_policies, 7);
    assert_int_equal(p->config->policies[2].step_up.preview, PREVIEW_DRY_RUN);
    assert_int_equal(p->config->policies[4].on, RULE_ON_CONNECT);
    end(p);
    test_free(text);
}

static void
test_values_that_have_several_forms(void **state)
{
    static const char text[] =
        "listen:\n"
        "  - {protocol: postgres, address: \"[::1]:5432\"}\n"
        "  - {protocol: postgres, address: localhost:5433, resource: r}\n"
        "postgres: {cleartext_on_loopback: true}\n"
        "local_issuer: {enabled: true, max_ttl: 90s}\n"
        "log: {format: json, level: debug}\n"
        "issuers:\n"
        "  - {name: i, issuer: \"https://i\", audience: [a, b], types: [JWT, none]}\n"
        "resources:\n"
        "  r:\n"
        "    protocol: postgres\n"
        "    address: \"[2001:db8::1]:6000\"\n"
        "    credential: {user: u, password: {env: PW}, certificate: c, key: {file: k}}\n"
        "    labels: {tier: 1, critical: true}\n"
        "policies:\n"
        "  - name: p\n"
        "    who: {claims: {email_verified: true, realm.role: [a, b]}}\n"
        "    resources: {labels: {tier: 1}}\n"
        "    from: [\"2001:db8::/32\", 192.0.2.1]\n"
        "    when: [{days: [sat-mon, wed]}, {from: \"08:00\", to: \"24:00\"}]\n"
        "    allow: all\n";
    struct parsed *p = parse(str_from(text));
    const struct config *c = p->config;
    const struct policy_rule *rule;

    (void)state;
    if (p->err != OK)
        fail_msg("%.*s", STR_ARG(buf_str(&p->text)));
    assert_str(c->listens[0].address.host, "::1");
    assert_str(c->listens[1].address.host, "127.0.0.1");
    assert_str(c->listens[1].resource, "r");
    assert_true(c->cleartext_on_loopback);
    assert_int_equal(c->local_issuer.max_ttl_seconds, 90);
    assert_true(c->log_json);
    assert_int_equal(c->log_level, 0);
    assert_int_equal(c->issuers[0].audiences.n, 2);
    assert_str(c->issuers[0].types.items[0], "jwt");
    assert_str(c->issuers[0].types.items[1], "none");
    assert_str(c->resources[0].address.host, "2001:db8::1");
    assert_int_equal(c->resources[0].password.source, SECRET_ENV);
    assert_str(c->resources[0].password.value, "PW");
    assert_str(c->resources[0].client_key.value, "/etc/bulkhead/k");
    assert_str(c->resources[0].labels[0].values.items[0], "1");
    rule = &c->policies[0];
    assert_int_equal(rule->classes, 0);
    assert_str(rule->claims[0].values.items[0], "true");
    assert_str(rule->claims[1].path, "realm.role");
    assert_int_equal(rule->claims[1].values.n, 2);
    assert_int_equal(rule->sources[0].prefix_bits, 32);
    assert_int_equal(rule->sources[1].prefix_bits, 128);
    assert_int_equal(rule->times[0].days, 0x65);
    assert_int_equal(rule->times[0].from_minute, 0);
    assert_int_equal(rule->times[0].to_minute, 0);
    assert_int_equal(rule->times[1].days, 0);
    assert_int_equal(rule->times[1].from_minute, 480);
    assert_int_equal(rule->times[1].to_minute, 0);
    end(p);
}

static const char protecting[] =
    "labels: {env: prod}\n"
    "    protect:\n"
    "      - {columns: [ssn, \"*.email\", 'public.\"Customer \"\"Notes\".\"SSN.Copy\"']}\n"
    "      - {columns: public.payments.details, paths: [card.number, '\"a.b\".c.d'],\n"
    "         mask: {partial: 4}, write: true}\n"
    "      - {columns: crm.people.email, mask: email, lookup: equality}\n"
    "      - {columns: a, mask: null}\n"
    "      - {columns: a, mask: \"null\", lookup: none}\n"
    "      - {columns: a, mask: {fixed: \"(hidden)\"}}\n"
    "      - {columns: a, mask: hash}\n"
    "    detect: [email, {name: ticket, pattern: 'TKT-[0-9]{6}'}]\n"
    "    mask_key: {file: mask.key}\n";

static void
assert_rule(const struct protect_rule *rule, const char *schema, const char *table,
            const char *column, enum mask_kind kind)
{
    assert_str(rule->schema, schema);
    assert_str(rule->table, table);
    assert_str(rule->column, column);
    assert_int_equal(rule->mask.kind, kind);
}

static void
test_protected_columns_become_rules(void **state)
{
    char *text = change(good, "labels: {env: prod}\n", protecting);
    struct parsed *p = parse(str_from(text));
    const struct config_resource *r;

    (void)state;
    assert_int_equal(p->err, OK);
    assert_int_equal(p->report.warnings, 0);
    r = &p->config->resources[0];
    assert_int_equal(r->n_protect, 10);
    assert_rule(&r->protect[0], "*", "*", "ssn", MASK_REDACT);
    assert_false(r->protect[0].lookup || r->protect[0].write);
    assert_rule(&r->protect[1], "*", "*", "email", MASK_REDACT);
    assert_rule(&r->protect[2], "public", "Customer \"Notes", "SSN.Copy", MASK_REDACT);
    assert_int_equal(r->protect[2].n_path, 0);
    for (size_t i = 3; i < 5; i++) {
        assert_rule(&r->protect[i], "public", "payments", "details", MASK_PARTIAL);
        assert_int_equal(r->protect[i].mask.keep, 4);
        assert_true(r->protect[i].write);
    }
    assert_int_equal(r->protect[3].n_path, 2);
    assert_str(r->protect[3].path[0], "card");
    assert_str(r->protect[3].path[1], "number");
    assert_int_equal(r->protect[4].n_path, 3);
    assert_str(r->protect[4].path[0], "a.b");
    assert_str(r->protect[4].path[2], "d");
    assert_rule(&r->protect[5], "crm", "people", "email", MASK_EMAIL);
    assert_true(r->protect[5].lookup);
    assert_rule(&r->protect[6], "*", "*", "a", MASK_NULL);
    assert_rule(&r->protect[7], "*", "*", "a", MASK_NULL);
    assert_rule(&r->protect[8], "*", "*", "a", MASK_FIXED);
    assert_str(r->protect[8].mask.fixed, "(hidden)");
    assert_rule(&r->protect[9], "*", "*", "a", MASK_HASH);
    assert_int_equal(r->n_detect, 2);
    assert_str(r->detect[0].name, "email");
    assert_int_equal(r->detect[0].pattern.len, 0);
    assert_str(r->detect[1].name, "ticket");
    assert_str(r->detect[1].pattern, "TKT-[0-9]{6}");
    assert_int_equal(r->mask_key.source, SECRET_FILE);
    assert_str(r->mask_key.value, "/etc/bulkhead/mask.key");
    end(p);
    test_free(text);
}

/* Columns times paths: what one entry stands for is bounded, too. */
static void
test_protected_columns_have_a_limit(void **state)
{
    struct buf lines = buf_make(1 << 20);
    struct parsed *p;
    char *text;

    (void)state;
    buf_put_text(&lines, "labels: {env: prod}\n    protect:\n      - columns: [a");
    for (int i = 1; i < 64; i++)
        buf_put_text(&lines, ", a");
    buf_put_text(&lines, "]\n        paths: [a");
    for (int i = 1; i < 64; i++)
        buf_put_text(&lines, ", a");
    buf_put_text(&lines, "]\n");
    buf_put_u8(&lines, '\0');
    text = change(good, "labels: {env: prod}\n", lines.ptr);
    p = parse(str_from(text));
    assert_int_equal(p->err, OK);
    assert_int_equal(p->config->resources[0].n_protect, 4096);
    end(p);
    test_free(text);
    lines.len -= 3;
    buf_put_text(&lines, ", a]\n");
    buf_put_u8(&lines, '\0');
    text = change(good, "labels: {env: prod}\n", lines.ptr);
    p = parse(str_from(text));
    assert_int_equal(p->err, ERR_INVALID);
    assert_true(strstr(p->text.ptr, "13:5: error: 'protect' has more than 4096 columns") != NULL);
    end(p);
    test_free(text);
    buf_free(&lines);
}

static void
test_limits_of_a_policy(void **state)
{
    char *text = change(good, "allow: [read]\n",
                        "allow: [read]\n"
                        "    limits: {rows_per_command: 1000, bytes_per_command: 10MiB,\n"
                        "             rows_per_session: 1000000000000, seconds_per_command: 2m,\n"
                        "             max_affected_rows: 5, max_tables: 6, require_where: true,\n"
                        "             read_only: false}\n");
    struct parsed *p = parse(str_from(text));
    const struct limits *l;

    (void)state;
    assert_int_equal(p->err, OK);
    l = &p->config->policies[0].limits;
    assert_int_equal(l->rows_per_command, 1000);
    assert_int_equal(l->bytes_per_command, 10 << 20);
    assert_int_equal(l->rows_per_session, 1000000000000);
    assert_int_equal(l->seconds_per_command, 120);
    assert_int_equal(l->max_affected_rows, 5);
    assert_int_equal(l->max_tables, 6);
    assert_true(l->require_where);
    assert_false(l->read_only);
    assert_int_equal(p->config->policies[1].limits.rows_per_command, 0);
    end(p);
    test_free(text);
}

static void
test_a_file_cut_at_any_byte_is_an_error_or_a_smaller_file(void **state)
{
    char *text = read_whole_file(SAMPLE);
    size_t len = strlen(text);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        char *cut = test_malloc(i + 1); /* so that ASan sees a read beyond it */
        struct parsed *p;

        memcpy(cut, text, i);
        p = parse((struct str){cut, i});
        assert_int_equal(p->err == OK, p->report.errors == 0);
        end(p);
        test_free(cut);
    }
    test_free(text);
}

static void
test_a_file_with_any_byte_changed_does_no_harm(void **state)
{
    static const char bytes[] = "{}[]:-'\"#&*!|>%@`,\n\t 0\xc3";
    char *whole = change(good, "labels: {env: prod}\n", protecting);
    size_t len = strlen(whole);
    char *text = test_malloc(len);

    (void)state;
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < sizeof(bytes); k++) {
            struct parsed *p;

            memcpy(text, whole, len);
            text[i] = bytes[k];
            p = parse((struct str){text, len});
            assert_int_equal(p->err == OK, p->report.errors == 0);
            end(p);
        }
    test_free(text);
    test_free(whole);
}

static void
test_depth_and_size_have_limits(void **state)
{
    char deep[64], *large = test_calloc(1, CONFIG_BYTES_MAX + 1);
    struct parsed *p;

    (void)state;
    memset(deep, '[', sizeof(deep));
    assert_report((struct str){deep, NODE_DEPTH_MAX + 1},
                  "b.yaml:1:17: error: nested too deeply\n");
    p = parse((struct str){large, CONFIG_BYTES_MAX + 1});
    assert_int_equal(p->err, ERR_LIMIT);
    end(p);
    memset(large, ',', CONFIG_BYTES_MAX);
    for (size_t i = 0; i < 4 * NODES_MAX; i += 2)
        memcpy(large + i, "a,", 2);
    memcpy(large, "[ ", 2);
    p = parse((struct str){large, 2 * NODES_MAX + 4});
    assert_int_equal(p->err, ERR_INVALID);
    assert_non_null(memmem(p->text.ptr, p->text.len, "too many values", 15));
    end(p);
    test_free(large);
}

static void
test_an_empty_file_is_an_error(void **state)
{
    (void)state;
    assert_report(STR(""), "b.yaml:1:1: error: the file is empty\n");
    assert_report(STR("# nothing\n"), "b.yaml:1:1: error: the file is empty\n");
    assert_report(STR("- listen\n"), "b.yaml:1:1: error: the file must be a mapping of keys to "
                                     "values, such as 'listen:'\n");
}

static void
test_little_memory_is_an_error(void **state)
{
    (void)state;
    for (size_t max = 0; max < 20000; max += 97) {
        struct arena *arena = arena_new(max);
        struct buf text = buf_make(1 << 20);
        struct config_report report = {.text = &text};
        struct config *config = NULL;
        enum err e = config_parse(str_from(good), STR("b.yaml"), arena, &report, &config);

        assert_true(e == OK || e == ERR_NOMEM);
        assert_int_equal(config != NULL, e == OK);
        arena_free(arena);
        buf_free(&text);
    }
}

/* A folder with files, for what only the file system can tell. */

static char folder[64];

static void
write_file(const char *name, const char *text, mode_t mode)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0 || chmod(path, mode) != 0)
        fail_msg("cannot write %s", path);
}

static int
make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/config_test.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
    static const char *const names[] = {"b.yaml", "tls/gw.crt", "tls/gw.key",
                                        "tls",    "sales.pw",   "recordings.pub"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        remove(path);
    }
    return rmdir(folder);
}

static struct parsed *load_by(enum err (*by)(const char *path, struct arena *arena,
                                             struct config_report *report, struct config **out))
{
    struct parsed *p = test_calloc(1, sizeof(*p));
    char path[128];

    snprintf(path, sizeof(path), "%s/b.yaml", folder);
    p->arena = arena_new(64 << 20);
    p->text = buf_make(1 << 20);
    p->report.text = &p->text;
    p->err = by(path, p->arena, &p->report, &p->config);
    return p;
}

static struct parsed *
load(void)
{
    return load_by(config_load);
}

static void
assert_says(const struct parsed *p, const char *text)
{
    if (memmem(p->text.ptr, p->text.len, text, strlen(text)) == NULL)
        fail_msg("no \"%s\" in\n%.*s", text, STR_ARG(buf_str(&p->text)));
}

static void
test_files_that_are_named_must_be_there(void **state)
{
    struct parsed *p = load();
    char tls[128];

    (void)state;
    assert_int_equal(p->err, ERR_NOT_FOUND);
    assert_int_equal(p->report.errors, 1);
    assert_says(p, "b.yaml: error: cannot read it");
    end(p);

    write_file("b.yaml", good, 0644);
    p = load();
    assert_int_equal(p->err, ERR_INVALID);
    assert_int_equal(p->report.errors, 3);
    assert_says(p, "b.yaml:2:20: error: cannot read '");
    assert_says(p, "b.yaml:2:37: error: cannot read '");
    assert_says(p, "b.yaml:11:46: error: cannot read '");
    end(p);

    p = load_by(config_read);
    assert_int_equal(p->err, OK);
    assert_int_equal(p->text.len, 0);
    end(p);

    snprintf(tls, sizeof(tls), "%s/tls", folder);
    assert_int_equal(mkdir(tls, 0755), 0);
    write_file("tls/gw.crt", "", 0644);
    write_file("tls/gw.key", "", 0644);
    write_file("sales.pw", "secret\n", 0600);
    p = load();
    assert_int_equal(p->err, OK);
    assert_int_equal(p->report.warnings, 1);
    assert_says(p, "b.yaml:2:37: warning: every user of this machine can read '");
    end(p);
}

static void
write_public_key(EVP_PKEY *key)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/recordings.pub", folder);
    f = fopen(path, "w");
    assert_true(key != NULL && f != NULL && PEM_write_PUBKEY(f, key) == 1 && fclose(f) == 0);
    EVP_PKEY_free(key);
}

static void
test_the_key_of_recordings_must_be_an_rsa_key_of_3072_bits(void **state)
{
    char *text = change(good, "policies:",
                        "recordings: {directory: r, public_key: recordings.pub}\n"
                        "policies:");
    struct parsed *p;

    (void)state;
    write_file("b.yaml", text, 0644);
    p = load();
    assert_says(p, "b.yaml:13:40: error: cannot read '");
    end(p);
    write_file("recordings.pub", "-----BEGIN PUBLIC KEY-----\n", 0644);
    p = load();
    assert_says(p, "recordings.pub' is not the public key of an RSA pair, in PEM\n");
    assert_says(p, "hint: make a pair: openssl genpkey ");
    end(p);
    write_public_key(EVP_EC_gen("P-256"));
    p = load();
    assert_says(p, "recordings.pub' is not the public key of an RSA pair, in PEM\n");
    end(p);
    write_public_key(EVP_RSA_gen(2048));
    p = load();
    assert_says(p, "recordings.pub' has 2048 bits; recordings need 3072 to 8192\n");
    end(p);
    write_public_key(EVP_RSA_gen(3072));
    p = load();
    assert_null(memmem(p->text.ptr, p->text.len, "recordings", 10));
    end(p);
    test_free(text);
}

static void
test_a_secret_is_read_from_where_it_is(void **state)
{
    struct config_secret secret = {SECRET_NONE, STR_INIT("")};
    struct buf out = buf_make(64 << 10);
    char path[128];

    (void)state;
    assert_int_equal(config_read_secret(&secret, &out), ERR_NOT_FOUND);
    secret = (struct config_secret){SECRET_LITERAL, STR("word")};
    assert_int_equal(config_read_secret(&secret, &out), OK);
    assert_str(buf_str(&out), "word");

    buf_reset(&out);
    secret = (struct config_secret){SECRET_ENV, STR("CONFIG_TEST_SECRET")};
    assert_int_equal(config_read_secret(&secret, &out), ERR_NOT_FOUND);
    setenv("CONFIG_TEST_SECRET", "from the environment", 1);
    assert_int_equal(config_read_secret(&secret, &out), OK);
    assert_str(buf_str(&out), "from the environment");

    buf_reset(&out);
    snprintf(path, sizeof(path), "%s/sales.pw", folder);
    secret = (struct config_secret){SECRET_FILE, str_from(path)};
    assert_int_equal(config_read_secret(&secret, &out), ERR_NOT_FOUND);
    write_file("sales.pw", "from a file\n", 0600);
    assert_int_equal(config_read_secret(&secret, &out), OK);
    assert_str(buf_str(&out), "from a file");

    buf_reset(&out);
    write_file("sales.pw", "two\nlines\r\n", 0600);
    assert_int_equal(config_read_secret(&secret, &out), OK);
    assert_str(buf_str(&out), "two\nlines");

    buf_reset(&out);
    assert_int_equal(truncate(path, (64 << 10) + 1), 0);
    assert_int_equal(config_read_secret(&secret, &out), ERR_LIMIT);
    secret.value = str_from(folder);
    buf_reset(&out);
    assert_int_equal(config_read_secret(&secret, &out), ERR_IO);
    buf_free_secret(&out);
}

/* The generated pages. Run with BULKHEAD_REWRITE_DOCS=1 to write them anew. */
static void
assert_page(const char *path, void (*write)(struct buf *out))
{
    struct buf expected = buf_make(1 << 20);
    char *found;

    write(&expected);
    assert_int_equal(buf_ok(&expected), OK);
    if (getenv("BULKHEAD_REWRITE_DOCS") != NULL) {
        FILE *f = fopen(path, "w");

        if (f == NULL || fwrite(expected.ptr, 1, expected.len, f) != expected.len || fclose(f) != 0)
            fail_msg("cannot write %s", path);
    }
    found = read_whole_file(path);
    if (!str_is(buf_str(&expected), found))
        fail_msg("%s is out of date: run this test with BULKHEAD_REWRITE_DOCS=1", path);
    test_free(found);
    buf_free(&expected);
}

static void
test_reference_and_schema_are_made_from_the_table(void **state)
{
    (void)state;
    assert_page(BULKHEAD_SOURCE_ROOT "/docs/configuration.md", config_write_reference);
    assert_page(BULKHEAD_SOURCE_ROOT "/docs/bulkhead.schema.json", config_write_json_schema);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_reported_with_its_place_and_a_hint),
        cmocka_unit_test(test_mistakes_about_people_are_reported_likewise),
        cmocka_unit_test(test_approvals_need_the_console),
        cmocka_unit_test(test_people_are_read_as_they_are_meant),
        cmocka_unit_test(test_all_mistakes_are_reported_in_the_order_of_the_file),
        cmocka_unit_test(test_a_report_has_an_end),
        cmocka_unit_test(test_defaults_are_safe),
        cmocka_unit_test(test_relative_paths_start_at_the_folder_of_the_file),
        cmocka_unit_test(test_the_sample_is_read_as_it_is_meant),
        cmocka_unit_test(test_the_sample_with_humans_has_no_problems),
        cmocka_unit_test(test_values_that_have_several_forms),
        cmocka_unit_test(test_protected_columns_become_rules),
        cmocka_unit_test(test_protected_columns_have_a_limit),
        cmocka_unit_test(test_limits_of_a_policy),
        cmocka_unit_test(test_a_file_cut_at_any_byte_is_an_error_or_a_smaller_file),
        cmocka_unit_test(test_a_file_with_any_byte_changed_does_no_harm),
        cmocka_unit_test(test_depth_and_size_have_limits),
        cmocka_unit_test(test_an_empty_file_is_an_error),
        cmocka_unit_test(test_little_memory_is_an_error),
        cmocka_unit_test_setup_teardown(test_files_that_are_named_must_be_there, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_the_key_of_recordings_must_be_an_rsa_key_of_3072_bits,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_secret_is_read_from_where_it_is, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_reference_and_schema_are_made_from_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
