// What the emulator says about a CTA that failed.
#include "cta.hpp"
#include <cstdarg>
#include <cstdio>
#include <sstream>

namespace emulator {

std::string Cta::place(const Thread* thread) const
{
    char text[200];
    std::snprintf(text, sizeof text, "kernel %s, block (%u,%u,%u)", launch_->kernel.name, block_.x, block_.y, block_.z);
    std::string result = text;
    if (thread != nullptr) {
        std::snprintf(text, sizeof text, ", thread (%u,%u,%u)", thread->index.x, thread->index.y, thread->index.z);
        result += text;
    }
    return result;
}

static std::string describe(const Site& site)
{
    std::string text = site.operation;
    if (site.file != nullptr)
        text += std::string(" at ") + site.file + ":" + std::to_string(site.line);
    return text;
}

static std::string describe(const Mbarrier& mbarrier)
{
    return "phase " + std::to_string(mbarrier.phase) + " lacks " + std::to_string(mbarrier.pending) + " of "
         + std::to_string(mbarrier.count) + " arrivals and " + std::to_string(mbarrier.bytes) + " bytes";
}

void Cta::report(Fault fault, const Thread* thread, const Site& site, const std::string& text)
{
    launch_->fail(fault, place(thread) + ": " + describe(site) + ": " + text);
}

void Cta::fail(Fault fault, const Site& site, const char* format, ...)
{
    {
        char text[512];
        va_list values;
        va_start(values, format);
        std::vsnprintf(text, sizeof text, format, values);
        va_end(values);
        report(fault, fibers_[running_].thread, site, text);
    }
    leave();
    __builtin_unreachable();
}

std::string Cta::waits() const
{
    std::ostringstream text;
    int told = 0;
    for (size_t w = 0; w < warps_.size(); ++w)
        for (uint32_t left = ~warps_[w].exited; left != 0;) {
            const Fiber& first = fibers_[w * 32 + static_cast<size_t>(__builtin_ctz(left))];
            uint32_t same = 0;
            for (uint32_t lane = 0; lane < 32; ++lane)
                if (left >> lane & 1) {
                    const Fiber& other = fibers_[w * 32 + lane];
                    if (other.state == first.state
                        && (first.state == State::Ready || (other.lanes == first.lanes && other.site.line == first.site.line)))
                        same |= 1u << lane;
                }
            left &= ~same;
            if (++told > 12)
                continue;
            text << "; warp " << w << " lanes 0x" << std::hex << same;
            if (first.state == State::Ready) {
                text << std::dec << " poll memory";
                continue;
            }
            text << " wait at " << describe(first.site);
            if (first.state == State::AtBarrier)
                text << " (barrier " << std::dec << first.lanes << ")";
            else if (first.state == State::AtMbarrier)
                text << " (mbarrier at 0x" << first.lanes << ", " << std::dec << describe(mbarriers_.at(first.lanes)) << ")";
            else if (first.state == State::AtCollective)
                text << " (for lanes 0x" << first.lanes << ")";
            else
                text << " (for their warpgroup)";
            text << std::dec;
        }
    if (told > 12)
        text << "; and " << told - 12 << " more";
    return text.str();
}

} // namespace emulator
