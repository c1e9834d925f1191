// Rows for a W8A8 product: BF16 rows as quantize.cuh says, and silu(gate) * up both in BF16 and quantized.
// Floor: the rows in once and out once; the gated kernel writes BF16 as well.
//
// One CTA of 512 threads a row; 32768 columns are held in registers, further ones are read again.
#include "quantize.cuh"

static constexpr int Threads = 512, Held = 8;

template <class Q> DEVICE void quantize_rows(global_ptr<const bf16> x, int x_stride, int width, const TiledRows& to)
{
    dependency_wait();
    const int token = block_x();
    const global_ptr<const bf16> row = x + static_cast<int64_t>(token) * x_stride;
    const bool aligned = ((width | x_stride) % Lanes) == 0;
    const auto values = [&](int column) {
        float value[Lanes] = {};
        if (column < width)
            load_vector<bf16>(value, row, column, width, aligned);
        return pack_eight(value);
    };
    quantize_row<Q, Threads, Held>(to, token, width, shared_base(), [&](int, int column) { return values(column); }, values);
    launch_dependents();
}

// silu(x[.., 0 .. width)) * x[.., width .. 2 width), rounded to BF16.
template <class Q>
DEVICE void gated_activation(global_ptr<const bf16> x, int x_stride, global_ptr<bf16> out, int out_stride, int width, const TiledRows& to)
{
    dependency_wait();
    const int token = block_x();
    const global_ptr<const bf16> gates = x + static_cast<int64_t>(token) * x_stride, ups = gates + width;
    const global_ptr<bf16> row = out + static_cast<int64_t>(token) * out_stride;
    const bool aligned = ((width | x_stride | out_stride) % Lanes) == 0;
    const auto values = [&](int column) {
        float gate[Lanes] = {}, up[Lanes] = {};
        if (column < width) {
            load_vector<bf16>(gate, gates, column, width, aligned);
            load_vector<bf16>(up, ups, column, width, aligned);
            UNROLL for (int i = 0; i < Lanes; ++i)
                gate[i] = silu(gate[i]) * up[i];
            store_vector<bf16>(row, gate, column, width, aligned);
        }
        return pack_eight(gate);
    };
    quantize_row<Q, Threads, Held>(to, token, width, shared_base(), [&](int, int column) { return values(column); }, values);
    launch_dependents();
}

#define QUANTIZE(name, Q)                                                                                                       \
    KERNEL(quantize_rows_##name, Threads, 2, (global_ptr<const bf16> x, int x_stride, int width, const TiledRows to))           \
    {                                                                                                                           \
        quantize_rows<Q>(x, x_stride, width, to);                                                                               \
    }                                                                                                                           \
    KERNEL(gated_activation_##name, Threads, 2,                                                                                 \
           (global_ptr<const bf16> x, int x_stride, global_ptr<bf16> out, int out_stride, int width, const TiledRows to))       \
    {                                                                                                                           \
        gated_activation<Q>(x, x_stride, out, out_stride, width, to);                                                           \
    }
QUANTIZE(s8, QuantizeS8)
#if __CUDA_ARCH__ >= 890
QUANTIZE(e4m3, QuantizeE4m3)
#endif
