// One CTA: its threads as fibers, their collectives, barriers and asynchronous copies, run by one OS thread in random order.
#pragma once
#include "launch.hpp"
#include "stack_switch.hpp"
#include <vector>

namespace emulator {

enum class State { Ready, AtCollective, AtBarrier, Done };

struct AsyncCopy {
    uint32_t to;
    uint64_t from;
    uint32_t bytes, source_bytes;
    uint64_t group;
};

struct Fiber {
    Thread* thread;
    void* stack;
    State state;
    Site site;          // of the wait
    uint32_t lanes;     // of the collective waited for, or the barrier's number
    uint64_t groups;    // of copies committed
    std::vector<AsyncCopy> copies;
};

// Lanes that have arrived at a collective, and what they brought.
struct Rendezvous {
    uint32_t lanes, arrived;
    Site site;
    GroupOperation operation;
    void* operands[32];
};

struct Warp {
    uint32_t ready, exited;   // lanes; those past the CTA's end count as exited
    uint32_t at_barrier;      // lanes that wait at one
    std::vector<Rendezvous> pending;
};

struct Barrier {
    int arrived, threads; // threads: 0 for all of the CTA
    std::vector<int> waiting;
};

class Cta final : public Executor {
public:
    explicit Cta(Window* windows) : windows_(windows) {}
    void start(Launch& launch, Dim3 block, StackPool& stacks);
    // Runs the ready lanes of one warp until each waits, is preempted or ends. False when no lane is ready.
    bool step();
    bool finished() const { return live_ == 0; }
    // What each live thread waits for.
    std::string waits() const;
    std::string place(const Thread* thread) const;

    void warp_collective(uint32_t lanes, const Site& site, GroupOperation operation, void* operand) override;
    void barrier(int id, int threads, bool wait, const Site& site) override;
    void find_allocation(uint64_t address, uint32_t bytes, Access access, const Site& site) override;
    void preempt() override;
    void copy_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, const Site& site) override;
    void copy_async_commit() override;
    void copy_async_wait(int groups) override;
    [[noreturn]] void fail(Fault fault, const Site& site, const char* format, ...) override;

private:
    static void thread_main();
    void leave();
    void wait(State state, const Site& site, uint32_t lanes);
    void wake(int thread);
    Rendezvous& join(Warp& warp, uint32_t lanes, const Site& site, GroupOperation operation);
    void check_divergence(const Warp& warp, const Rendezvous& joined, const Site& site);
    void release(Barrier& barrier);
    void finish(Fiber& fiber, size_t copy);
    uint32_t random(uint32_t below) { return static_cast<uint32_t>((next_random(random_) >> 32) * below >> 32); }
    Warp& warp() { return warps_[running_ / 32]; }

    static constexpr int BarrierCount = 16;
    Launch* launch_ = nullptr;
    Window* windows_;
    Dim3 block_{};
    std::vector<Fiber> fibers_;
    std::vector<Warp> warps_;
    Barrier barriers_[BarrierCount];
    std::vector<uint8_t> shared_;
    uint8_t* arena_ = nullptr; // of shared address 0; SharedBase and what follows is the CTA's
    uint64_t random_ = 0;
    uint32_t last_warp_ = 0;
    uint32_t stickiness_ = 0; // of 256: how likely the warp that ran runs on
    int32_t until_preemption_ = 0;
    int live_ = 0, running_ = 0; // running_: the thread that runs
    void* scheduler_ = nullptr;
};

// One OS thread of the emulator.
class Worker {
public:
    void run(Launch& launch);

private:
    Window windows_[WindowCount];
    StackPool stacks_;
    Cta cta_{windows_};
};

} // namespace emulator
