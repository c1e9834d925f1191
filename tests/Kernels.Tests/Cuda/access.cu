// CTAs that wait for each other, and accesses that fit or do not fit the memory.
#include "device.cuh"

// CTA i adds its number to what CTA i - 1 left, having waited for its turn. One lane polls. order: which CTA goes first.
KERNEL(take_turns, 64, 1, (global_ptr<uint32_t> counter, global_ptr<uint32_t> sum, int descending))
{
    const int turn = descending != 0 ? grid_x() - 1 - block_x() : block_x();
    if (thread_index() == 0) {
        wait_until(counter, static_cast<uint32_t>(turn));
        sum[0] = sum[0] * 3 + static_cast<uint32_t>(turn);
    }
    barrier();
    if (thread_index() == 0)
        add_release(counter, 1);
}
KERNEL(wait_for_ever, 64, 1, (global_ptr<uint32_t> counter))
{
    if (thread_index() == 0)
        wait_until(counter, 1000);
    barrier();
}
// Rows of `stride` words are written and read down a column.
KERNEL(read_columns, 32, 1, (global_ptr<uint32_t> out, int stride))
{
    shared_ptr<uint32_t> tile = shared_at<uint32_t>(shared_base());
    for (int i = 0; i < 32; ++i)
        tile[i * stride + thread_index()] = static_cast<uint32_t>(i);
    warp_barrier();
    out[thread_index()] = tile[thread_index() * stride];
}
// Lane l reads word l * step.
KERNEL(read_with_step, 32, 1, (global_ptr<const uint32_t> from, int step, global_ptr<uint32_t> out))
{
    out[thread_index()] = from[thread_index() * step];
}
