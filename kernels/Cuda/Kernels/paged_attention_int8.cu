// Paged attention over a cache of integers of 8 bits. paged_attention.cu says what is computed, in which order, and combines the chunks of
// split tiles; attention_8bit.cuh says how.
// Floor: decode reads 2 * HeadDim + 8 bytes a token and KV head, 52% of BF16's at 128. Turning an element into F16 takes one
// instruction.
#include "attention_8bit.cuh"
#include "attention_work.cuh"

#define PAGED_ATTENTION(head_dim, ctas)                                                                  \
    KERNEL(paged_attention_int8_##head_dim, Threads, ctas, (const AttentionArguments arguments))            \
    {                                                                                                    \
        paged_attention<EightBitCache<Int8Format>, head_dim>(arguments);                                      \
    }
PAGED_ATTENTION(64, 2) // three would leave too few registers; two have 40 KB under way
PAGED_ATTENTION(80, 2)
PAGED_ATTENTION(96, 2)
PAGED_ATTENTION(128, 2)
PAGED_ATTENTION(256, 2)
