/* What a module does in a loop of C_Decrypt, with nothing above it.

   Reads from standard input, a line each: the module's path, the token's label, the PIN, the key's CKA_ID in
   hexadecimal, a ciphertext of RSA-OAEP with SHA-1 in hexadecimal, and then orders, "COUNT THREADS". For each order it
   decrypts COUNT times on each of THREADS threads, each with a session of its own, and writes a line. The types are
   those of PKCS#11 v3.1, sections 3 and 5, as far as they are used here. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char CK_BYTE;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;

typedef struct {
    CK_ULONG type;
    void *value;
    CK_ULONG length;
} CK_ATTRIBUTE;

typedef struct {
    CK_ULONG mechanism;
    void *parameter;
    CK_ULONG length;
} CK_MECHANISM;

typedef struct {
    CK_ULONG hash;
    CK_ULONG generator;
    CK_ULONG source;
    void *label;
    CK_ULONG label_length;
} CK_RSA_PKCS_OAEP_PARAMS;

typedef struct {
    void *create, *destroy, *lock, *unlock;
    CK_ULONG flags;
    void *reserved;
} CK_C_INITIALIZE_ARGS;

enum {
    CKF_OS_LOCKING_OK = 2,
    CKF_SERIAL_SESSION = 4,
    CKU_USER = 1,
    CKA_CLASS = 0,
    CKO_PRIVATE_KEY = 3,
    CKA_ID = 0x102,
    CKM_RSA_PKCS_OAEP = 9,
    CKM_SHA_1 = 0x220,
    CKG_MGF1_SHA1 = 1,
    CKZ_DATA_SPECIFIED = 1,
    LABEL_BYTES = 32,
    TOKEN_INFO_BYTES = 512, /* More than a CK_TOKEN_INFO has; the label comes first. */
    MAX_SLOTS = 256,
    MAX_THREADS = 64,
    MAX_LINE = 4096
};

static CK_RV (*C_Initialize)(void *);
static CK_RV (*C_GetSlotList)(CK_BYTE, CK_ULONG *, CK_ULONG *);
static CK_RV (*C_GetTokenInfo)(CK_ULONG, void *);
static CK_RV (*C_OpenSession)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *);
static CK_RV (*C_Login)(CK_ULONG, CK_ULONG, char *, CK_ULONG);
static CK_RV (*C_FindObjectsInit)(CK_ULONG, CK_ATTRIBUTE *, CK_ULONG);
static CK_RV (*C_FindObjects)(CK_ULONG, CK_ULONG *, CK_ULONG, CK_ULONG *);
static CK_RV (*C_FindObjectsFinal)(CK_ULONG);
static CK_RV (*C_DecryptInit)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
static CK_RV (*C_Decrypt)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

static CK_ULONG sessions[MAX_THREADS], key, count;
static CK_BYTE ciphertext[MAX_LINE];
static CK_ULONG ciphertext_length;

static void check(const char *what, CK_RV rv) {
    if (rv == 0) return;
    fprintf(stderr, "%s: 0x%lx\n", what, rv);
    exit(1);
}

static void read_line(char *line) {
    if (!fgets(line, MAX_LINE, stdin)) exit(1);
    line[strcspn(line, "\n")] = 0;
}

static CK_ULONG read_bytes(CK_BYTE *bytes) {
    char line[MAX_LINE];
    read_line(line);
    CK_ULONG length = strlen(line) / 2;
    for (CK_ULONG i = 0; i < length; i++) sscanf(line + 2 * i, "%2hhx", &bytes[i]);
    return length;
}

static void *symbol(void *module, const char *name) {
    void *found = dlsym(module, name);
    check(name, found == NULL);
    return found;
}

static void load(const char *path) {
    void *module = dlopen(path, RTLD_NOW);
    check(path, module == NULL);
    C_Initialize = symbol(module, "C_Initialize");
    C_GetSlotList = symbol(module, "C_GetSlotList");
    C_GetTokenInfo = symbol(module, "C_GetTokenInfo");
    C_OpenSession = symbol(module, "C_OpenSession");
    C_Login = symbol(module, "C_Login");
    C_FindObjectsInit = symbol(module, "C_FindObjectsInit");
    C_FindObjects = symbol(module, "C_FindObjects");
    C_FindObjectsFinal = symbol(module, "C_FindObjectsFinal");
    C_DecryptInit = symbol(module, "C_DecryptInit");
    C_Decrypt = symbol(module, "C_Decrypt");
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    check("C_Initialize", C_Initialize(&arguments));
}

static CK_ULONG slot_of(const char *label) {
    CK_ULONG slots[MAX_SLOTS], found = MAX_SLOTS;
    char info[TOKEN_INFO_BYTES], padded[LABEL_BYTES];
    memset(padded, ' ', LABEL_BYTES);
    memcpy(padded, label, strnlen(label, LABEL_BYTES));
    check("C_GetSlotList", C_GetSlotList(1, slots, &found));
    for (CK_ULONG i = 0; i < found; i++) {
        check("C_GetTokenInfo", C_GetTokenInfo(slots[i], info));
        if (!memcmp(info, padded, LABEL_BYTES)) return slots[i];
    }
    check("no such token", 1);
    return 0;
}

static void *decrypt(void *session) {
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep};
    CK_BYTE plaintext[MAX_LINE];
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ULONG length = sizeof plaintext;
        check("C_DecryptInit", C_DecryptInit(*(CK_ULONG *)session, &mechanism, key));
        check("C_Decrypt", C_Decrypt(*(CK_ULONG *)session, ciphertext, ciphertext_length, plaintext, &length));
    }
    return NULL;
}

int main(void) {
    char line[MAX_LINE];
    CK_BYTE id[MAX_LINE];
    CK_ULONG class = CKO_PRIVATE_KEY, found, threads;
    pthread_t running[MAX_THREADS];

    read_line(line);
    load(line);
    read_line(line);
    CK_ULONG slot = slot_of(line);
    for (int i = 0; i < MAX_THREADS; i++)
        check("C_OpenSession", C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &sessions[i]));
    read_line(line);
    check("C_Login", C_Login(sessions[0], CKU_USER, line, strlen(line)));
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, id, read_bytes(id)}};
    check("C_FindObjectsInit", C_FindObjectsInit(sessions[0], wanted, 2));
    check("C_FindObjects", C_FindObjects(sessions[0], &key, 1, &found));
    check("C_FindObjectsFinal", C_FindObjectsFinal(sessions[0]));
    check("no such key", found != 1);
    ciphertext_length = read_bytes(ciphertext);

    while (scanf("%lu %lu", &count, &threads) == 2) {
        check("too many threads", threads > MAX_THREADS);
        for (CK_ULONG i = 0; i < threads; i++)
            check("pthread_create", pthread_create(&running[i], NULL, decrypt, &sessions[i]));
        for (CK_ULONG i = 0; i < threads; i++) pthread_join(running[i], NULL);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
