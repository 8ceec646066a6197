# The module exports what the server looks up and nothing else: PostgreSQL 15 loads modules into one space
# of names, and a function of another module's would take the place of one of ours.
use strict;
use warnings;
use AuthService;
use IPC::Run ();
use Test::More;

my ($module) = glob "$ENV{AUTH_SERVICE_STAGE}/usr/lib/postgresql/*/lib/auth_service.so";
ok(defined $module, 'the module is staged');
IPC::Run::run([ 'nm', '-D', $module ], '>', \my $symbols);
my @defined = $symbols =~ /^[0-9a-f]+ [A-TV-Z] (\S+)$/mg;
is_deeply([ grep { !/^(Pg_magic_func|_PG_init|(pg_finfo_)?auth_service_\w+)$/ } @defined ], [], 'nothing else is exported');
cmp_ok(scalar(grep { /^auth_service_/ } @defined), '>', 10, 'the functions are');
unlike($symbols, qr/ U (jwt_|json_(object|load))/, 'libjwt and jansson are not linked');
done_testing();
