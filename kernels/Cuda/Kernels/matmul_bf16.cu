// Products with BF16 weights, as matmul_bf16.cuh describes them.
#include "matmul_bf16.cuh"

MATMUL(bf16, BFloat16)
