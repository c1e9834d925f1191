// Products with GGUF's Q6_K, as matmul_q6_k.cuh describes them.
#include "matmul_q6_k.cuh"

MATMUL(q6_k, Q6_K)
