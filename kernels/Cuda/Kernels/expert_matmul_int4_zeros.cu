// Products of experts with INT4 weights with zero points, as matmul_int4.cuh describes them.
#include "matmul_int4.cuh"

using Int4Group128 = Int4<128, true>;
using Int4Group64 = Int4<64, true>;
using Int4Group32 = Int4<32, true>;

EXPERT_MATMUL(int4_zeros_g128, Int4Group128)
EXPERT_MATMUL(int4_zeros_g64, Int4Group64)
EXPERT_MATMUL(int4_zeros_g32, Int4Group32)
