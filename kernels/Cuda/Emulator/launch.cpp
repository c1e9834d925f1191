#include "launch.hpp"
#include "cta.hpp"
#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <pthread.h>
#include <thread>

namespace emulator {

Launch::Launch(const Kernel& k, Dim3 grid_size, Dim3 block_size, uint32_t bytes, void* const* values, uint64_t launch_seed,
               const Allocations& memory)
    : kernel(k), grid(grid_size), block(block_size), shared_bytes(bytes), arguments(values), seed(launch_seed), allocations(memory)
{
    uint64_t state = seed;
    stride_ = next_random(state) % ctas() | 1;
    while (std::gcd(stride_, ctas()) != 1)
        stride_ += 2;
    offset_ = next_random(state) % ctas();
}

std::optional<Dim3> Launch::take()
{
    const uint64_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= ctas() || failed())
        return std::nullopt;
    const uint64_t cta = static_cast<uint64_t>((static_cast<unsigned __int128>(stride_) * i + offset_) % ctas());
    return Dim3{static_cast<uint32_t>(cta % grid.x), static_cast<uint32_t>(cta / grid.x % grid.y),
                static_cast<uint32_t>(cta / grid.x / grid.y)};
}

void Launch::fail(Fault fault, const std::string& message)
{
    const std::lock_guard lock(mutex_);
    if (failed_)
        return;
    fault_ = fault;
    message_ = message + "; seed " + std::to_string(seed) + " (LLAMASERVE_EMULATED_SEED repeats it)";
    failed_ = true;
}

// Threads with their own stacks and no signals, so that a host's runtime never looks at a fiber's stack.
class WorkerPool {
public:
    static WorkerPool& instance()
    {
        static WorkerPool& pool = *new WorkerPool; // never destroyed: its threads outlive main
        return pool;
    }

    void run(Launch& launch)
    {
        std::unique_lock lock(mutex_);
        launch_ = &launch;
        running_ = static_cast<int>(std::min<uint64_t>(size_, launch.ctas()));
        wanted_ = running_;
        ++generation_;
        start_.notify_all();
        done_.wait(lock, [this] { return running_ == 0; });
        launch_ = nullptr;
    }

private:
    WorkerPool()
    {
        const char* count = std::getenv("LLAMASERVE_EMULATED_THREADS");
        size_ = count != nullptr ? std::atoi(count) : static_cast<int>(std::thread::hardware_concurrency());
        size_ = size_ < 1 ? 1 : size_;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        for (int i = 0; i < size_; ++i)
            std::thread([this, i] { work(i); }).detach();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void work(int number)
    {
        Worker worker;
        uint64_t seen = 0;
        for (;;) {
            std::unique_lock lock(mutex_);
            start_.wait(lock, [&] { return generation_ != seen; });
            seen = generation_;
            if (number >= wanted_)
                continue;
            Launch& launch = *launch_;
            lock.unlock();
            worker.run(launch);
            lock.lock();
            if (--running_ == 0)
                done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable start_, done_;
    Launch* launch_ = nullptr;
    uint64_t generation_ = 0;
    int size_ = 0, running_ = 0, wanted_ = 0;
};

void run(Launch& launch) { WorkerPool::instance().run(launch); }

} // namespace emulator
