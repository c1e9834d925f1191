// Products of experts with INT8 weights whose scales lie beside them, as matmul_int8.cuh describes them.
#include "matmul_int8.cuh"

using Int8Row = Int8<0, false>;
using Int8Group64 = Int8<64, false>;
using Int8Group32 = Int8<32, false>;
using Int8Zeros = Int8<32, true>;

EXPERT_MATMUL(int8_row, Int8Row)
EXPERT_MATMUL(int8_g64, Int8Group64)
EXPERT_MATMUL(int8_g32, Int8Group32)
EXPERT_MATMUL(int8_zeros_g32, Int8Zeros)
