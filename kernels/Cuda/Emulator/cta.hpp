// One CTA: its threads as fibers, their collectives, barriers and asynchronous copies, run by one OS thread in random order.
#pragma once
#include "launch.hpp"
#include "lint.hpp"
#include "stack_switch.hpp"
#include <map>
#include <memory>
#include <vector>

namespace emulator {

// A writer of shared memory is its thread's index plus one, and below WriterShift its number of fences.
constexpr int WriterShift = 20;

enum class State { Ready, AtCollective, AtBarrier, AtMbarrier, AtProduct, Done };

// A thread's copy into shared memory.
struct AsyncCopy {
    uint32_t to;
    uint64_t from;
    uint32_t bytes, source_bytes;
    uint64_t group;
};

// An arrival that waits for the copies which its thread issued before.
struct PendingArrival {
    uint32_t mbarrier;
    Site site;
};

// A thread's bulk copy out of shared memory.
struct BulkStore {
    uint64_t to;
    uint32_t from, bytes;
    uint64_t group;
    Site site;
};

// A bulk copy into shared memory.
struct BulkCopy {
    uint32_t to;
    uint64_t from;
    uint32_t bytes, mbarrier;
    Site site;
};

struct Fiber {
    Thread* thread;
    void* stack;
    State state;
    Site site;          // of the wait
    uint32_t lanes;     // of the collective waited for, or the barrier's number
    uint64_t groups, store_groups, product_groups; // committed: of copies, bulk stores and products
    bool product_fence; // since the last commit
    std::vector<AsyncCopy> copies;
    std::vector<PendingArrival> arrivals;
    std::vector<BulkStore> stores;
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

struct Mbarrier {
    int count, pending;
    int64_t bytes;       // expected and not yet come
    uint64_t phase;      // how many have ended
    int initializer;     // the thread that must fence it, -1 when that is done
    std::vector<int> waiting;
};

// Accumulators that products in flight write. The threads' own registers hold poison until they wait.
struct Accumulator {
    void* d[128];
    int registers;
    std::vector<uint32_t> values;  // [thread][register]
    uint64_t last_group;           // of the products
    bool waited[128];              // has its registers back
};

struct PendingProduct {
    Product product;
    size_t accumulator;
    uint64_t group;
    Site site;
};

// Four warps that multiply together.
struct Warpgroup {
    int arrived;
    Site site;
    const ProductPart* parts[128];
    std::vector<Accumulator> accumulators;
    std::vector<PendingProduct> products; // in order of issue
    std::vector<int> waiting;             // threads, for products
};

class Cta final : public Executor, private AsyncView {
public:
    explicit Cta(Window* windows) : windows_(windows) {}
    void start(Launch& launch, Dim3 block);
    // Runs the ready lanes of one warp until each waits, is preempted or ends; without a ready lane, an asynchronous operation.
    // False when nothing happened, or lanes only polled.
    bool step();
    // Runs every ready lane once, and an asynchronous operation. False as above.
    bool round();
    // After the last step.
    void end();
    bool finished() const { return live_ == 0; }
    // What each live thread waits for.
    std::string waits() const;
    std::string place(const Thread* thread) const;

    void warp_collective(uint32_t lanes, const Site& site, GroupOperation operation, void* operand) override;
    void barrier(int id, int threads, bool wait, const Site& site) override;
    void find_allocation(uint64_t address, uint32_t bytes, Access access, const Site& site) override;
    void preempt() override;
    void pause() override;
    void record_access(bool shared, uint64_t address, uint32_t bytes, const Site& site) override;
    void copy_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, const Site& site) override;
    void copy_async_commit() override;
    void copy_async_wait(int groups) override;
    void copy_async_arrive(uint32_t address, const Site& site) override;
    void mbarrier_init(uint32_t address, int count, const Site& site) override;
    void mbarrier_invalidate(uint32_t address, const Site& site) override;
    void mbarrier_arrive(uint32_t address, int expected, const Site& site) override;
    bool mbarrier_test(uint32_t address, uint32_t parity, const Site& site) override;
    void mbarrier_wait(uint32_t address, uint32_t parity, const Site& site) override;
    void fence_mbarrier_init() override;
    void copy_bulk(uint32_t to, uint64_t from, uint32_t bytes, uint32_t mbarrier, const Site& site) override;
    void store_bulk(uint64_t to, uint32_t from, uint32_t bytes, const Site& site) override;
    void store_bulk_commit() override;
    void store_bulk_wait(int groups) override;
    void fence_async_proxy() override;
    void multiply_async(const ProductPart& part, const Site& site) override;
    void multiply_fence(const Site& site) override;
    void multiply_commit() override;
    void multiply_wait(int groups, const Site& site) override;
    [[noreturn]] void fail(Fault fault, const Site& site, const char* format, ...) override;

private:
    static void thread_main();
    void leave();
    bool run_warp(uint32_t number);
    void wait(State state, const Site& site, uint32_t lanes);
    void wake(int thread);
    Rendezvous& join(Warp& warp, uint32_t lanes, const Site& site, GroupOperation operation);
    void check_divergence(const Warp& warp, const Rendezvous& joined, const Site& site);
    void release(Barrier& barrier);
    void finish(Fiber& fiber, size_t copy);
    // Lets one asynchronous operation happen. False when none is under way.
    bool progress();
    void report(Fault fault, const Thread* thread, const Site& site, const std::string& text);
    Mbarrier& find_mbarrier(uint32_t address, const Site& site);
    void count_arrival(uint32_t address, Mbarrier& mbarrier, int arrivals, int64_t bytes, const Site& site);
    void land(size_t copy);
    void arrive_after_copies(Fiber& fiber, size_t arrival);
    void finish_store(Fiber& fiber, size_t store);
    const uint8_t* read(uint32_t address) override;
    bool unpublished(uint32_t address, uint32_t bytes, std::string& who) const;
    void start_product(Warpgroup& group, const Site& site);
    Accumulator& take_accumulator(Warpgroup& group, const Site& site);
    void run_product(Warpgroup& group);
    void check_products_waited();
    void give_back(Accumulator& accumulator, int thread, const Site& site);
    uint32_t random(uint32_t below) { return static_cast<uint32_t>((next_random(random_) >> 32) * below >> 32); }
    Warp& warp() { return warps_[running_ / 32]; }

    static constexpr int BarrierCount = 16;
    Launch* launch_ = nullptr;
    Window* windows_;
    StackPool stacks_;
    AccessRecorder recorder_;
    Dim3 block_{};
    std::vector<Fiber> fibers_;
    std::vector<Warp> warps_;
    std::vector<Warpgroup> warpgroups_;
    Barrier barriers_[BarrierCount];
    std::map<uint32_t, Mbarrier> mbarriers_;
    std::vector<BulkCopy> bulk_copies_;
    int pending_arrivals_ = 0;
    const Site* reading_ = nullptr; // the asynchronous operation that reads shared memory
    std::vector<uint8_t> shared_;
    std::vector<uint32_t> writers_;
    uint8_t* arena_ = nullptr; // of shared address 0; SharedBase and what follows is the CTA's
    uint64_t random_ = 0;
    uint32_t last_warp_ = 0;
    uint32_t stickiness_ = 0; // of 256: how likely the warp that ran runs on
    uint32_t eagerness_ = 0;  // of 256: how likely an asynchronous operation happens although threads can run
    int32_t until_preemption_ = 0;
    bool polled_ = false; // the thread that left last did so only to poll again
    int live_ = 0, running_ = 0; // running_: the thread that runs
    void* scheduler_ = nullptr;
};

// One OS thread of the emulator, with the CTAs that it runs in turns: more than one when they may wait for each other.
class Worker {
public:
    void run(Launch& launch);

private:
    bool start_cta(Launch& launch);
    void retire(Launch& launch, size_t cta);
    bool idle(Launch& launch, size_t number);
    std::string waits() const;

    Window windows_[WindowCount];
    std::vector<std::unique_ptr<Cta>> resident_, spare_;
};

} // namespace emulator
