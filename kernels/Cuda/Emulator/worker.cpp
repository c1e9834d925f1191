// The schedule of CTAs on the emulator's threads.
#include "cta.hpp"
#include <sched.h>

namespace emulator {

bool Worker::start_cta(Launch& launch)
{
    const std::optional<Dim3> block = launch.take();
    if (!block)
        return false;
    if (spare_.empty())
        spare_.push_back(std::make_unique<Cta>(windows_));
    resident_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    resident_.back()->start(launch, *block);
    return true;
}

void Worker::retire(Launch& launch, size_t cta)
{
    resident_[cta]->end();
    spare_.push_back(std::move(resident_[cta]));
    resident_.erase(resident_.begin() + static_cast<std::ptrdiff_t>(cta));
    launch.leave();
}

std::string Worker::waits() const
{
    std::string text;
    for (const std::unique_ptr<Cta>& cta : resident_)
        text += (text.empty() ? "" : "; ") + cta->place(nullptr) + ": deadlock" + cta->waits();
    return text;
}

// Looks whether anything can still happen after a step without progress: here, in a CTA that has not started, or on another
// thread. The launch has failed when every thread has looked in vain since anyone made progress.
bool Worker::idle(Launch& launch, size_t number)
{
    const uint64_t progress = launch.progress();
    for (const std::unique_ptr<Cta>& cta : resident_)
        if (cta->round())
            return true;
    if (start_cta(launch))
        return true;
    if (launch.all_idle(number, progress))
        launch.fail(Fault::LaunchFailed, waits());
    sched_yield();
    return false;
}

void Worker::run(Launch& launch)
{
    for (Window& window : windows_)
        window = {};
    uint64_t random = launch.seed;
    // Some launches interleave CTAs on a thread from the start.
    const size_t wanted = 1 + next_random(random) % 3;
    const size_t number = launch.enter();
    while (!launch.failed()) {
        while (resident_.size() < wanted && start_cta(launch))
            ;
        if (resident_.empty())
            break;
        const size_t cta = next_random(random) % resident_.size();
        if (resident_[cta]->step() || idle(launch, number))
            launch.make_progress();
        for (size_t i = resident_.size(); i-- > 0;)
            if (resident_[i]->finished())
                retire(launch, i);
    }
    while (!resident_.empty())
        retire(launch, resident_.size() - 1);
    launch.exit(number);
}

} // namespace emulator
