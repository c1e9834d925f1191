// Kernels that show what a launch delivers.
#include "device.cuh"

struct Triple {
    uint16_t first;
    uint32_t second;
    uint64_t third;
};

KERNEL(store_arguments, 32, 1, (global_ptr<uint64_t> out, int32_t a, uint32_t b, int64_t c, uint64_t d, float e, Triple triple))
{
    if (thread_index() != 0)
        return;
    const uint64_t values[] = {static_cast<uint64_t>(static_cast<int64_t>(a)), b, static_cast<uint64_t>(c), d,
                               float_bits(e), triple.first, triple.second, triple.third};
    UNROLL for (int i = 0; i < 8; ++i)
        store(out + i, values[i]);
}

// out: one word a CTA, x running fastest.
KERNEL(store_position, 64, 1, (global_ptr<uint32_t> out))
{
    if (thread_index() == thread_count() - 1)
        store(out + (block_z() * grid_y() + block_y()) * grid_x() + block_x(),
              static_cast<uint32_t>(thread_index() + 100 * block_x() + 10000 * block_y() + 1000000 * block_z()));
}

KERNEL(increment, 32, 1, (global_ptr<uint32_t> counter))
{
    dependency_wait();
    if (thread_index() == 0)
        atomic_add(counter, 1u);
}

// Reverses data through shared memory: 4 * count bytes of it, one CTA.
KERNEL(reverse, 256, 1, (global_ptr<uint32_t> data, int32_t count))
{
    const shared_ptr<uint32_t> reversed = shared_at<uint32_t>(shared_base());
    for (int i = thread_index(); i < count; i += thread_count())
        store(reversed + (count - 1 - i), load(data + i));
    barrier();
    for (int i = thread_index(); i < count; i += thread_count())
        store(data + i, load(reversed + i));
}

KERNEL(store_at, 32, 1, (global_ptr<uint32_t> data, int64_t index))
{
    if (thread_index() == 0)
        store(data + index, 1u);
}
