# SPDX-License-Identifier: MIT
#
# OpenAPI.pm: holds an answer against the document of `auth-service openapi`.
#
# Knows the part of JSON Schema that the document uses, and dies on a keyword that it does not know.
# An object with properties has no others: what the document does not tell of must not be answered.
package OpenAPI;

use strict;
use warnings;

use B ();
use JSON::PP ();

# What the server answers before it looks at a route.
my %of_server = map { $_ => 1 } 400, 408, 413, 414, 417, 421, 431, 503;

my %formats = (
    'int64' => qr/^-?\d{1,19}$/,
    'int32' => qr/^-?\d{1,10}$/,
    'date' => qr/^\d{4}-\d\d-\d\d$/,
    'uuid' => qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    'date-time' => qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);

# From the document's text.
sub new
{
    my ($class, $text) = @_;
    my $document = JSON::PP->new->utf8->decode($text);
    my @paths = map { my $pattern = join '[^/]+', map { quotemeta } split(/\{[^}]*\}/, $_, -1); [ qr/^$pattern$/, $_ ] }
      sort keys %{ $document->{paths} };
    return bless { document => $document, paths => \@paths }, $class;
}

sub document { return $_[0]{document} }

# What a {"$ref": ...} refers to, or the value itself; dies where there is nothing.
sub resolve
{
    my ($self, $value) = @_;
    while (exists $value->{'$ref'})
    {
        my ($root, @steps) = split m{/}, $value->{'$ref'};
        die "\$ref beside other members" if keys %$value > 1;
        $value = $self->{document};
        $value = $value->{$_} // die "no $_ for a \$ref" foreach @steps;
    }
    return $value;
}

# The path in the document for a request's path; undef where it has none.
sub path
{
    my ($self, $path) = @_;
    $path =~ s/\?.*//s;
    return $path if $self->{document}{paths}{$path};
    my @fit = grep { $path =~ $_->[0] } @{ $self->{paths} };
    return @fit ? $fit[0][1] : undef;
}

# All that is wrong with an answer {status, headers, content} to this request.
sub problems
{
    my ($self, $method, $path, $answer) = @_;
    my $status = $answer->{status};
    # The page /docs and its files are no part of the API; their errors are as elsewhere.
    my $is_page = $path =~ m{^/docs(?:[/?]|$)};
    return if $is_page && ($status == 200 || $status == 304);
    # A preflight of CORS is a browser's question; the document has no operation for it.
    return if $method eq 'OPTIONS' && $status == 204 && !length $answer->{content};
    my $template = $self->path($path);
    my $operation = defined $template ? $self->{document}{paths}{$template}{ $method eq 'HEAD' ? 'get' : lc $method } : undef;
    my $response;
    if (defined $operation)
    {
        $response = $operation->{responses}{$status} // $operation->{responses}{default} or return "$status is not documented";
        $response = $self->resolve($response);
    }
    else
    {
        # Whatever is called like a function is answered so, whether there is one or not.
        my $is_rpc = $path =~ m{^/rpc/[^/?]} && $method =~ /^(GET|HEAD|POST)$/;
        return $self->response_problems($self->error('X-Request-ID'), $answer, $method eq 'HEAD') if $is_rpc && !defined $template && $status =~ /^4(00|01|04|05|15)$/;
        my $wanted = defined $template || ($is_page && $status == 405) ? 405 : 404;
        return "$status where there is no such operation" if $status != $wanted && !$of_server{$status};
        $response = $self->error('X-Request-ID', $status == 405 ? 'Allow' : ());
    }
    return $self->response_problems($response, $answer, $method eq 'HEAD');
}

# The response of an error outside of operations, with these headers.
sub error
{
    my ($self, @headers) = @_;
    return { any_code => 1, headers => { map { $_ => { required => 1 } } @headers },
        content => { 'application/json' => { schema => { '$ref' => '#/components/schemas/Error' } } } };
}

sub response_problems
{
    my ($self, $response, $answer, $is_head) = @_;
    my @problems = map { "header $_ is missing" }
      grep { $self->resolve($response->{headers}{$_})->{required} && !defined $answer->{headers}{ lc $_ } } sort keys %{ $response->{headers} };
    return @problems, $self->body_problems($response, $answer, $is_head);
}

# All that is wrong with the server's own refusals among these bytes, which it sent on a connection.
sub raw_problems
{
    my ($self, $bytes) = @_;
    my @problems;
    while ($bytes =~ s/^HTTP\/1\.1 (\d+) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n//)
    {
        my ($status, $head) = ($1, $2);
        my %headers = map { my ($name, $value) = split /: /, $_, 2; (lc $name => $value) } split /\r\n/, $head;
        my $content = substr $bytes, 0, $headers{'content-length'} // 0, '';
        next if !$of_server{$status};
        my $answer = { headers => \%headers, content => $content };
        push @problems, map { "$status: $_" } $self->response_problems($self->error('X-Request-ID', $status == 503 ? 'Retry-After' : ()), $answer, 0);
    }
    return @problems;
}

sub body_problems
{
    my ($self, $response, $answer, $is_head) = @_;
    if (!$response->{content}) # a 204: RFC 9110, 8.6
    {
        my $headers = $answer->{headers};
        return length $answer->{content} || grep({ defined $headers->{$_} } 'content-type', 'content-length', 'transfer-encoding') ? 'a body where there is none' : ();
    }
    my ($type, $charset) = split /; /, $answer->{headers}{'content-type'} // '', 2;
    my $content = $response->{content}{ $type // '' } or return "Content-Type is not documented";
    return "charset" if ($charset // '') ne 'charset=utf-8';
    return length $answer->{content} ? 'HEAD has a body' : () if $is_head;
    my $body = eval { JSON::PP->new->utf8->allow_nonref->decode($answer->{content}) };
    return "the body is no JSON" if $@;
    return $self->value_problems($content->{schema}, $body, 'body'), $response->{any_code} ? () : $self->example_problems($content, $body);
}

# A code of ours has its example, which is the whole body; the application has codes of its own.
sub example_problems
{
    my ($self, $content, $body) = @_;
    return if ref $body ne 'HASH' || ($body->{code} // '') !~ /^U/;
    my $example = ($content->{examples} // {})->{ $body->{code} };
    my $json = JSON::PP->new->canonical;
    return $self->codes->{ $body->{code} } ? "code $body->{code} is not documented" : () if !$example;
    return $json->encode($example->{value}) eq $json->encode($body) ? () : "detail of $body->{code}";
}

# All codes that have an example somewhere.
sub codes
{
    my ($self) = @_;
    return $self->{codes} if $self->{codes};
    my @todo = ($self->{document});
    while (@todo)
    {
        my $value = shift @todo;
        push @todo, ref $value eq 'HASH' ? values %$value : ref $value eq 'ARRAY' ? @$value : ();
        $self->{codes}{$_} = 1 foreach ref $value eq 'HASH' && ref $value->{examples} eq 'HASH' ? keys %{ $value->{examples} } : ();
    }
    return $self->{codes};
}

# ---- JSON Schema ----------------------------------------------------------------------------

sub type_of
{
    my ($value) = @_;
    return 'null' if !defined $value;
    return 'boolean' if JSON::PP::is_bool($value);
    return { HASH => 'object', ARRAY => 'array' }->{ ref $value } if ref $value;
    my $flags = B::svref_2object(\$value)->FLAGS;
    return 'string' if $flags & B::SVp_POK;
    return $flags & B::SVp_IOK ? 'integer' : 'number';
}

my %keywords = (
    description => sub { },
    type => sub {
        my ($self, $types, $value) = @_;
        my $type = type_of($value);
        return (grep { $_ eq $type } ref $types ? @$types : $types) ? () : "is of type $type";
    },
    format => sub {
        my ($self, $format, $value) = @_;
        my $pattern = $formats{$format} // die "unknown format $format";
        return !defined $value || $value =~ $pattern ? () : "is no $format";
    },
    const => sub { my ($self, $const, $value) = @_; return defined $value && $value eq $const ? () : 'is another constant' },
    enum => sub {
        my ($self, $words, $value) = @_;
        return (grep { defined $value ? defined $_ && $_ eq $value : !defined $_ } @$words) ? () : 'is none of the words';
    },
    required => sub {
        my ($self, $names, $value) = @_;
        return ref $value eq 'HASH' ? map { "has no $_" } grep { !exists $value->{$_} } @$names : ();
    },
    properties => sub {
        my ($self, $properties, $value, $where) = @_;
        return if ref $value ne 'HASH';
        return map { $properties->{$_} ? $self->value_problems($properties->{$_}, $value->{$_}, $_) : "has a member $_" } sort keys %$value;
    },
    additionalProperties => sub {
        my ($self, $schema, $value) = @_;
        return ref $value eq 'HASH' ? map { $self->value_problems($schema, $value->{$_}, $_) } sort keys %$value : ();
    },
    anyOf => sub {
        my ($self, $schemas, $value) = @_;
        return (grep { !$self->value_problems($_, $value, '') } @$schemas) ? () : 'is none of several';
    },
    items => sub {
        my ($self, $schema, $value) = @_;
        return ref $value eq 'ARRAY' ? map { $self->value_problems($schema, $_, 'item') } @$value : ();
    });

sub value_problems
{
    my ($self, $schema, $value, $where) = @_;
    $schema = $self->resolve($schema);
    return map { my $keyword = $_; map { "$where $_" } ($keywords{$keyword} // die "unknown keyword $keyword")->($self, $schema->{$keyword}, $value) }
      sort keys %$schema;
}

1;
