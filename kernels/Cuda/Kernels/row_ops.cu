// The operations that move rows or work element by element. Each reads and writes every element once, which is its floor.
//
// A CTA works on one row. Rows lie `stride` elements apart; eight elements at a time where strides and widths are multiples of
// eight (addresses then lie on 16 bytes), one at a time otherwise.
#include "device.cuh"
#include "vectors.cuh"

static constexpr int Threads = 128;

// Calls work(column) for the first column of each vector of the row.
#define FOR_EACH_VECTOR(column, width) \
    NO_UNROLL for (int column = thread_index() * Lanes; column < (width); column += Threads * Lanes)

// out[t] = table[ids[t]], [tokens, width]. An id ~i is chosen[i], which the step before has sampled; where it could not (-1), the
// sequence ends, and any row will do.
KERNEL(embed, Threads, 4,
       (global_ptr<const bf16> table, global_ptr<const int32_t> ids, global_ptr<const int32_t> chosen, global_ptr<float> out, int out_stride, int width))
{
    dependency_wait();
    int32_t id = load(ids + block_x());
    if (id < 0) {
        id = load(chosen + ~id);
        id = id < 0 ? 0 : id;
    }
    const global_ptr<const bf16> from = table + static_cast<int64_t>(id) * width;
    const global_ptr<float> to = out + static_cast<int64_t>(block_x()) * out_stride;
    const bool aligned = ((width | out_stride) % Lanes) == 0;
    FOR_EACH_VECTOR(column, width) {
        float value[Lanes];
        load_vector<bf16>(value, from, column, width, aligned);
        store_vector<float>(to, value, column, width, aligned);
    }
}

// out[i] = x[rows[i]], [rows asked for, width].
KERNEL(gather_rows, Threads, 4,
       (global_ptr<const float> x, int x_stride, global_ptr<const int32_t> rows, global_ptr<float> out, int out_stride, int width))
{
    dependency_wait();
    const global_ptr<const float> from = x + static_cast<int64_t>(load(rows + block_x())) * x_stride;
    const global_ptr<float> to = out + static_cast<int64_t>(block_x()) * out_stride;
    const bool aligned = ((width | x_stride | out_stride) % Lanes) == 0;
    FOR_EACH_VECTOR(column, width) {
        float value[Lanes];
        load_vector<float>(value, from, column, width, aligned);
        store_vector<float>(to, value, column, width, aligned);
    }
}

// out = x rounded, for a matrix product of F32 rows.
KERNEL(round_rows, Threads, 4, (global_ptr<const float> x, int x_stride, global_ptr<bf16> out, int out_stride, int width))
{
    dependency_wait();
    const global_ptr<const float> from = x + static_cast<int64_t>(block_x()) * x_stride;
    const global_ptr<bf16> to = out + static_cast<int64_t>(block_x()) * out_stride;
    const bool aligned = ((width | x_stride | out_stride) % Lanes) == 0;
    FOR_EACH_VECTOR(column, width) {
        float value[Lanes];
        load_vector<float>(value, from, column, width, aligned);
        store_vector<bf16>(to, value, column, width, aligned);
    }
}

// out = silu(x[.., 0 .. width)) * x[.., width .. 2 width).
template <class T> DEVICE void gated_activation(global_ptr<const T> x, int x_stride, global_ptr<T> out, int out_stride, int width)
{
    dependency_wait();
    const global_ptr<const T> gates = x + static_cast<int64_t>(block_x()) * x_stride, ups = gates + width;
    const global_ptr<T> to = out + static_cast<int64_t>(block_x()) * out_stride;
    const bool aligned = ((width | x_stride | out_stride) % Lanes) == 0;
    FOR_EACH_VECTOR(column, width) {
        float gate[Lanes], up[Lanes];
        load_vector<T>(gate, gates, column, width, aligned);
        load_vector<T>(up, ups, column, width, aligned);
        UNROLL for (int i = 0; i < Lanes; ++i)
            gate[i] = silu(gate[i]) * up[i];
        store_vector<T>(to, gate, column, width, aligned);
    }
}
KERNEL(gated_activation_bf16, Threads, 4, (global_ptr<const bf16> x, int x_stride, global_ptr<bf16> out, int out_stride, int width))
{
    gated_activation<bf16>(x, x_stride, out, out_stride, width);
}
KERNEL(gated_activation_f32, Threads, 4, (global_ptr<const float> x, int x_stride, global_ptr<float> out, int out_stride, int width))
{
    gated_activation<float>(x, x_stride, out, out_stride, width);
}

// words[pairs[2 i]] = pairs[2 i + 1]: the few words of a step's lists that change. Grid: (count / Threads).
KERNEL(scatter_words, Threads, 4, (global_ptr<int32_t> words, global_ptr<const int32_t> pairs, int count))
{
    dependency_wait();
    const int i = block_x() * Threads + thread_index();
    if (i < count)
        store(words + load(pairs + 2 * i), load(pairs + 2 * i + 1));
}
