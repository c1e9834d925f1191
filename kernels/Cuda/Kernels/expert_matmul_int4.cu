// Products of experts with INT4 weights less 8, as matmul_int4.cuh describes them.
#include "matmul_int4.cuh"

using Int4Row = Int4<0, false>;
using Int4Group128 = Int4<128, false>;
using Int4Group64 = Int4<64, false>;
using Int4Group32 = Int4<32, false>;

EXPERT_MATMUL(int4_row, Int4Row)
EXPERT_MATMUL(int4_g128, Int4Group128)
EXPERT_MATMUL(int4_g64, Int4Group64)
EXPERT_MATMUL(int4_g32, Int4Group32)
