/* A PKCS#11 module that passes everything on to SoftHSM, but for what the environment tells it to do
 * wrong. It is compiled by the tests, so that a child process meets the same faults as its parent.
 *
 * ODD_CLOCK      the token's time, YYYYMMDDhhmmss00
 * ODD_FLAGS      flags to add to CK_TOKEN_INFO, in hexadecimal
 * ODD_SESSIONS   the limit of sessions and how many are open, with a comma between
 * ODD_CLEARED    flags to take away from CK_TOKEN_INFO, in hexadecimal
 * ODD_HIDDEN     mechanisms to leave out of the list, in hexadecimal, each between commas: ,1085,
 * ODD_REFUSED    functions that answer CKR_FUNCTION_FAILED, each between commas: ,C_Encrypt,
 * ODD_IGNORED    functions that do nothing and answer CKR_OK: ,C_DestroyObject,
 * ODD_WRONG      functions whose output has a wrong first byte: ,C_WrapKey,
 * ODD_READABLE   functions that make keys readable whatever the template says: ,C_UnwrapKey,
 * ODD_USABLE     functions that make keys for everything: ,C_GenerateKey,
 * ODD_THREADS    what C_GenerateRandom does on other threads than the first: crash, fail or hang
 * ODD_KEYPAD     the PIN that is typed at the token's keypad
 * ODD_RANDOM     set: C_GenerateRandom gives always the same
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef unsigned long number;
typedef number (*function)(number, number, number, number, number, number, number, number);
typedef struct { number type; void *value; number length; } attribute;

enum { TOKEN_INFO = 6, MECHANISMS = 7, LOGIN = 18, CREATE = 20, DESTROY = 22, SET = 25, ENCRYPT_INIT = 29,
       ENCRYPT = 30, DECRYPT_INIT = 33, DECRYPT = 34, GENERATE = 58, GENERATE_PAIR = 59, WRAP = 60, UNWRAP = 61, RANDOM = 64,
       FUNCTIONS = 68 };

static void *list[1 + FUNCTIONS];
static function original[FUNCTIONS];

static int told(const char *variable, const char *what)
{
    const char *value = getenv(variable);
    char wanted[64];
    snprintf(wanted, sizeof wanted, ",%s,", what);
    return value && strstr(value, wanted);
}

#define REFUSABLE(NAME, PLACE) \
    static number odd_##NAME(number a, number b, number c, number d, number e, number f, number g, \
                             number h) \
    { \
        if (told("ODD_REFUSED", #NAME)) return 0x6; \
        if (told("ODD_IGNORED", #NAME)) return 0; \
        return original[PLACE](a, b, c, d, e, f, g, h); \
    }

REFUSABLE(C_CreateObject, CREATE)
REFUSABLE(C_DestroyObject, DESTROY)
REFUSABLE(C_SetAttributeValue, SET)
REFUSABLE(C_EncryptInit, ENCRYPT_INIT)
REFUSABLE(C_DecryptInit, DECRYPT_INIT)
REFUSABLE(C_GenerateKeyPair, GENERATE_PAIR)

/* Functions of five or six arguments, of which OUTPUT is a buffer and the next one its length. */
#define FALSIFIABLE(NAME, PLACE, OUTPUT) \
    static number odd_##NAME(number a, number b, number c, number d, number e, number f) \
    { \
        if (told("ODD_REFUSED", #NAME)) return 0x6; \
        number code = original[PLACE](a, b, c, d, e, f, 0, 0); \
        if (!code && OUTPUT && told("ODD_WRONG", #NAME)) *(char *)OUTPUT ^= 1; \
        return code; \
    }

FALSIFIABLE(C_Encrypt, ENCRYPT, d)
FALSIFIABLE(C_Decrypt, DECRYPT, d)
FALSIFIABLE(C_WrapKey, WRAP, e)

/* Write a template anew as ODD_READABLE and ODD_USABLE want it for a function. */
static number rewritten(const char *name, number template, number count)
{
    int readable = told("ODD_READABLE", name), usable = told("ODD_USABLE", name);
    static char no = 0, yes = 1;
    attribute *copy = malloc(count * sizeof *copy);
    memcpy(copy, (void *)template, count * sizeof *copy);
    for (number i = 0; i < count; i++) {
        if (readable && copy[i].type == 0x103) copy[i].value = &no; /* CKA_SENSITIVE */
        if (readable && copy[i].type == 0x162) copy[i].value = &yes; /* CKA_EXTRACTABLE */
        /* CKA_ENCRYPT, CKA_DECRYPT */
        if (usable && (copy[i].type == 0x104 || copy[i].type == 0x105)) copy[i].value = &yes;
    }
    return (number)copy;
}

static number odd_generate(number session, number mechanism, number template, number count,
                           number key)
{
    if (told("ODD_REFUSED", "C_GenerateKey")) return 0x6;
    template = rewritten("C_GenerateKey", template, count);
    return original[GENERATE](session, mechanism, template, count, key, 0, 0, 0);
}

static number odd_unwrap(number session, number mechanism, number by, number wrapped, number length,
                         number template, number count, number key)
{
    if (told("ODD_REFUSED", "C_UnwrapKey")) return 0x6;
    template = rewritten("C_UnwrapKey", template, count);
    return original[UNWRAP](session, mechanism, by, wrapped, length, template, count, key);
}

static number odd_login(number session, number user, number pin, number length)
{
    const char *keypad = getenv("ODD_KEYPAD");
    if (!pin && keypad) {
        pin = (number)keypad;
        length = strlen(keypad);
    }
    return original[LOGIN](session, user, pin, length, 0, 0, 0, 0);
}

static number odd_random(number session, char *buffer, number length)
{
    const char *threads = getenv("ODD_THREADS");
    if (threads && syscall(SYS_gettid) != getpid()) {
        if (!strcmp(threads, "crash")) raise(SIGSEGV);
        if (!strcmp(threads, "fail")) return 0x30; /* CKR_DEVICE_ERROR */
        if (!strcmp(threads, "hang")) sleep(600);
    }
    if (getenv("ODD_RANDOM")) {
        memset(buffer, 7, length);
        return 0;
    }
    return original[RANDOM](session, (number)buffer, length, 0, 0, 0, 0, 0);
}

static number odd_token_info(number slot, char *info)
{
    number code = original[TOKEN_INFO](slot, (number)info, 0, 0, 0, 0, 0, 0);
    number *numbers = (number *)(info + 96); /* the flags, and then the sessions */
    const char *clock = getenv("ODD_CLOCK"), *flags = getenv("ODD_FLAGS");
    const char *cleared = getenv("ODD_CLEARED");
    const char *sessions = getenv("ODD_SESSIONS");
    if (code) return code;
    if (clock) {
        numbers[0] |= 0x40;
        memcpy(info + 188, clock, 16);
    }
    if (cleared) numbers[0] &= ~strtoul(cleared, NULL, 16);
    if (flags) numbers[0] |= strtoul(flags, NULL, 16);
    if (sessions) {
        char *comma;
        numbers[1] = numbers[3] = strtoul(sessions, &comma, 10);
        numbers[2] = numbers[4] = strtoul(comma + 1, NULL, 10);
    }
    return 0;
}

static number odd_mechanisms(number slot, number *found, number *count)
{
    number kept = 0;
    number code = original[MECHANISMS](slot, (number)found, (number)count, 0, 0, 0, 0, 0);
    if (code || !found) return code;
    for (number i = 0; i < *count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%lx", found[i]);
        if (!told("ODD_HIDDEN", name)) found[kept++] = found[i];
    }
    *count = kept;
    return 0;
}

number C_GetFunctionList(void ***answer)
{
    if (!list[0]) {
        void **inner;
        void *library = dlopen(getenv("ODD_INNER"), RTLD_NOW);
        if (!library) return 0x5;
        ((number (*)(void ***))dlsym(library, "C_GetFunctionList"))(&inner);
        memcpy(list, inner, sizeof list);
        memcpy(original, inner + 1, sizeof original);
        void **places = list + 1;
        places[TOKEN_INFO] = odd_token_info;
        places[MECHANISMS] = odd_mechanisms;
        places[LOGIN] = odd_login;
        places[CREATE] = odd_C_CreateObject;
        places[DESTROY] = odd_C_DestroyObject;
        places[SET] = odd_C_SetAttributeValue;
        places[ENCRYPT_INIT] = odd_C_EncryptInit;
        places[ENCRYPT] = odd_C_Encrypt;
        places[DECRYPT] = odd_C_Decrypt;
        places[DECRYPT_INIT] = odd_C_DecryptInit;
        places[GENERATE] = odd_generate;
        places[GENERATE_PAIR] = odd_C_GenerateKeyPair;
        places[WRAP] = odd_C_WrapKey;
        places[UNWRAP] = odd_unwrap;
        places[RANDOM] = odd_random;
    }
    *answer = list;
    return 0;
}
