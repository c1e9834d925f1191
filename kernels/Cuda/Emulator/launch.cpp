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

Launch::Launch(const Kernel& k, Dim3 grid_size, Dim3 block_size, uint32_t bytes, void* const* values,
               const LaunchOptions& options, const Allocations& memory)
    : kernel(k), grid(grid_size), block(block_size), shared_bytes(bytes), arguments(values), seed(options.seed),
      resident_limit(options.resident_ctas), lint(options.lint), allocations(memory)
{
    uint64_t state = seed;
    stride_ = next_random(state) % ctas() | 1;
    while (std::gcd(stride_, ctas()) != 1)
        stride_ += 2;
    offset_ = next_random(state) % ctas();
}

std::optional<Dim3> Launch::take()
{
    if (failed())
        return std::nullopt;
    if (++residents_ > resident_limit) {
        --residents_;
        return std::nullopt;
    }
    const uint64_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= ctas()) {
        --residents_;
        return std::nullopt;
    }
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

static constexpr uint64_t NotIdle = ~0ull, Gone = NotIdle - 1;

size_t Launch::enter()
{
    const std::lock_guard lock(mutex_);
    idle_since_.push_back(NotIdle);
    return idle_since_.size() - 1;
}

void Launch::exit(size_t worker)
{
    const std::lock_guard lock(mutex_);
    idle_since_[worker] = Gone;
}

bool Launch::all_idle(size_t worker, uint64_t progress)
{
    const std::lock_guard lock(mutex_);
    idle_since_[worker] = progress;
    return std::all_of(idle_since_.begin(), idle_since_.end(), [this](uint64_t since) { return since == progress_ || since == Gone; });
}

void Launch::add_accesses(AccessRecorder& recorder)
{
    const std::lock_guard lock(mutex_);
    recorder.evaluate(accesses_);
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
        running_ = static_cast<int>(std::min({static_cast<uint64_t>(size_), launch.ctas(), launch.resident_limit}));
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
