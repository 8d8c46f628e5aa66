/* Whatever the record scanner takes, the full parser must take as well, and read the same. */
#include "fuzz/fuzz.h"

#include "record_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (record_check((const char *)data, size) == RECORD_DIFFERS) abort();
    return 0;
}
