// Products with F16 weights, as matmul_f16.cuh describes them.
#include "matmul_f16.cuh"

MATMUL(f16, Half)
