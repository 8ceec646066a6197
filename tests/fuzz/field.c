/* SPDX-License-Identifier: MIT
 *
 * field.c: the values that _arguments converts: a byte for the field's type, one for the JSON value's, then
 * its text.  What comes out as an integer, boolean, UUID or choice is one.
 */
#include "postgres.h"

#include "rpc/argument_type.h"
#include "fuzz.h"
#include "server.h"

static const char *const specifications[] = {"a:integer!", "a:boolean", "a|b:uuid!", "a(asc,desc)",
                                             "a|b",        "a!",        "a(x)!"};
static const char *const types[] = {"string", "number", "boolean", "null", "object", "array"};

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void
Check(const Field *field, const char *value, const char *given)
{
    char *end;

    switch (field->type) {
    case ARGUMENT_INTEGER:
        errno = 0;
        (void)strtoll(value, &end, 10);
        REQUIRE(errno == 0 && *end == '\0' && end > value && strlen(value) <= 20);
        break;
    case ARGUMENT_BOOLEAN:
        REQUIRE(strcmp(value, "true") == 0 || strcmp(value, "false") == 0 || value == given);
        break;
    case ARGUMENT_UUID:
        REQUIRE((strlen(value) == 36 || strlen(value) == 32) &&
                strspn(value, "0123456789abcdefABCDEF-") == strlen(value));
        break;
    case ARGUMENT_CHOICE:
        REQUIRE(strcmp(value, "asc") == 0 || strcmp(value, "desc") == 0 ||
                strcmp(value, "x") == 0 || value[0] == '\0');
        break;
    case ARGUMENT_STRING:
        REQUIRE(value == given);
    }
}

static void
Run(void *context)
{
    const Input *input = context;
    FieldProblems problems = {0};
    Field field = FieldRead(specifications[input->data[0] % lengthof(specifications)]);
    JsonMember member = {.name = "a", .type = (char *)types[input->data[1] % lengthof(types)]};
    char *value;

    member.value = palloc(input->size - 1);
    memcpy(member.value, input->data + 2, input->size - 2);
    member.value[input->size - 2] = '\0';
    value = FieldConvert(&field, "a", &member, &problems);
    if (value != NULL) {
        REQUIRE(problems.detail == NULL);
        Check(&field, value, member.value);
    } else
        REQUIRE(problems.detail != NULL || strcmp(member.type, "null") == 0);
    ProblemsRaise(&problems);
}

/* A specification comes from an application's call of a function of ours: any text. */
static void
RunSpecification(void *context)
{
    const Input *input = context;
    char *specification = palloc(input->size + 1);

    memcpy(specification, input->data, input->size);
    specification[input->size] = '\0';
    FieldRead(specification);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};

    if (size >= 2)
        ServerRun(Run, &input);
    ServerRun(RunSpecification, &input);
    return 0;
}
