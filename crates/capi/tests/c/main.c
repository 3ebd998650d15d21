#include <string.h>

#include "host.h"
#include "tests.h"

#define ENTRY(name) {#name, test_##name},

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {TESTS(ENTRY)};

// Runs the test that the argument names, in an attached thread.
int
main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (argc == 2 && strcmp(argv[1], tests[i].name) == 0) {
            host_attach();
            tests[i].run();
            host_detach();
            // No thread stays detached, and none attaches twice.
            CHECK(atomic_load(&detached) == atomic_load(&attached));
            return 0;
        }
    }
    fprintf(stderr, "which test?\n");
    return 2;
}
