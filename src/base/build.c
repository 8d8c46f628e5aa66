#include "base/build.h"

const char *build_source(void) { return DK_SOURCE; }

const char *build_compiler(void)
{
#if defined __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}
