// One kernel launch: its grid, its CTAs' order, and how it failed.
#pragma once
#include "allocations.hpp"
#include "lint.hpp"
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace emulator {

// splitmix64: the next of a sequence, and a good hash of a number.
inline uint64_t next_random(uint64_t& state)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

struct LaunchOptions {
    uint64_t seed;
    uint64_t resident_ctas; // the most that the device holds at a time
    bool lint;              // record memory accesses
};

class Launch {
public:
    Launch(const Kernel& kernel, Dim3 grid, Dim3 block, uint32_t shared_bytes, void* const* arguments, const LaunchOptions& options,
           const Allocations& allocations);
    const Kernel& kernel;
    const Dim3 grid, block;
    const uint32_t shared_bytes;
    void* const* const arguments;
    const uint64_t seed, resident_limit;
    const bool lint;
    const Allocations& allocations;

    uint64_t ctas() const { return static_cast<uint64_t>(grid.x) * grid.y * grid.z; }
    int threads() const { return static_cast<int>(block.x * block.y * block.z); }
    // The next CTA to start, in an order that the seed decides; none after the last, or while the device is full.
    std::optional<Dim3> take();
    // A CTA has ended.
    void leave() { --residents_; }

    // Threads that run CTAs. Each says when it made progress, and when it looked everywhere in vain, having read progress() before.
    size_t enter();
    void exit(size_t worker);
    uint64_t progress() const { return progress_; }
    void make_progress() { ++progress_; }
    // Whether no thread has found anything to do since progress() was that.
    bool all_idle(size_t worker, uint64_t progress);

    void add_accesses(AccessRecorder& recorder);
    const AccessReport& accesses() const { return accesses_; }
    // Keeps the first failure; the launch stops.
    void fail(Fault fault, const std::string& message);
    bool failed() const { return failed_.load(std::memory_order_relaxed); }
    Fault fault() const { return fault_; }
    const std::string& message() const { return message_; }

private:
    std::atomic<uint64_t> next_{0}, residents_{0}, progress_{0};
    uint64_t stride_, offset_; // of the permutation i -> (stride * i + offset) mod ctas
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    Fault fault_{};
    std::string message_;
    std::vector<uint64_t> idle_since_; // progress, by thread
    AccessReport accesses_;
};

// Runs the launch on the emulator's threads and returns when it has ended.
void run(Launch& launch);

} // namespace emulator
