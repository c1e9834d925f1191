// Whole blocks of a KV cache to other places in it, to the host's memory and back.
// Floor: within the device a block's bytes once in and once out. To or from the host its bytes over the bus, some 55 GB/s each way
// on 16 lanes of PCIe Gen5: 38 us for the 2 MiB that 16 tokens of Llama 3 8B are in BF16.
//
// Host memory is page-locked and has one address for both sides, so a swap is a copy like any other, and a list of them one launch,
// where the driver would be called for each of a block's 64 to 160 regions. The way to the host and back takes some 2 us, in which
// 110 KB pass; a thread has 16 bytes under way, which is the whole of a block of that model.
#include "device.cuh"

static constexpr int Threads = 128;

// block(pairs[2 i + 1]) = block(pairs[2 i]) for each i in order, where block(b) is cache[region][b] and block(~b) is host[b][region]. A
// region is the keys or the values of a layer, a block `block_vectors` pieces of 16 bytes. Grid: (pieces / Threads, regions). A thread
// keeps to its piece of every block, wherever that lies, so the copies follow one another without a barrier.
KERNEL(copy_blocks, Threads, 4,
       (global_ptr<uint4> cache, int64_t region_vectors, global_ptr<uint4> host, int block_vectors, global_ptr<const int32_t> pairs, int pair_count))
{
    dependency_wait();
    const int piece = block_x() * Threads + thread_index();
    if (piece >= block_vectors)
        return;
    const int64_t own_vectors = block_vectors, host_vectors = own_vectors * grid_y();
    const global_ptr<uint4> own_pieces = cache + (block_y() * region_vectors + piece);
    const global_ptr<uint4> host_pieces = host + (block_y() * own_vectors + piece);
    const auto at = [&](int block) { return block >= 0 ? own_pieces + block * own_vectors : host_pieces + ~block * host_vectors; };
    NO_UNROLL for (int i = 0; i < pair_count; ++i) {
        const int source = load(pairs + 2 * i), destination = load(pairs + 2 * i + 1);
        store(at(destination), load(at(source)));
    }
}
