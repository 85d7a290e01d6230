/* Put before every C and C++ file of llama.cpp where the processor has a matrix unit (AMX).
 *
 * GCC tells the compiler that _tile_loadconfig reads a pointer's worth of the 64 bytes it reads. ggml fills those 64 bytes on the stack,
 * so the optimiser drops most of them, the tiles stay unset, and the first prompt ends the process with an illegal instruction
 * (https://github.com/ggml-org/llama.cpp/pull/26954, open on 2026-11-26). Here the instruction reads all 64.
 */
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg\t%0" : : "m"(*(const char(*)[64])(config)))
#endif
