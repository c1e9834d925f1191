// Streams, events and captured graphs. Work runs when it is submitted, or when the graph that captured it is launched.
#include "driver.hpp"
#include <chrono>

namespace emulator {

Stream* Driver::stream(void* handle)
{
    if (reinterpret_cast<uintptr_t>(handle) <= 2)
        return &default_stream_;
    const auto found = streams.find(static_cast<Stream*>(handle));
    return found == streams.end() ? nullptr : *found;
}

bool Driver::capturing() const
{
    for (const Stream* stream : streams)
        if (stream->capture)
            return true;
    return false;
}

CUresult Driver::submit(void* handle, Work work)
{
    Stream* target = stream(handle);
    if (target == nullptr)
        return refuse(CUDA_ERROR_INVALID_HANDLE, "no such stream");
    if (!target->capture)
        return work();
    target->capture->nodes.push_back(std::move(work));
    return CUDA_SUCCESS;
}

} // namespace emulator

using namespace emulator;

static int64_t now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

CUDA_API cuStreamCreate(void** stream, unsigned)
{
    return call_driver([&](Driver& driver) {
        *stream = *driver.streams.insert(new Stream).first;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuStreamDestroy_v2(void* stream)
{
    return call_driver([&](Driver& driver) {
        if (driver.streams.erase(static_cast<Stream*>(stream)) == 0)
            return CUDA_ERROR_INVALID_HANDLE;
        delete static_cast<Stream*>(stream);
        return CUDA_SUCCESS;
    });
}

static CUresult completed(void* stream)
{
    return call_driver([&](Driver& driver) {
        const Stream* s = driver.stream(stream);
        return s == nullptr ? CUDA_ERROR_INVALID_HANDLE : s->capture ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
    });
}

CUDA_API cuStreamSynchronize(void* stream) { return completed(stream); }
CUDA_API cuStreamQuery(void* stream) { return completed(stream); }

CUDA_API cuEventCreate(void** event, unsigned)
{
    return call_driver([&](Driver& driver) {
        *event = *driver.events.insert(new Event).first;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuEventDestroy_v2(void* event)
{
    return call_driver([&](Driver& driver) {
        if (driver.events.erase(static_cast<Event*>(event)) == 0)
            return CUDA_ERROR_INVALID_HANDLE;
        delete static_cast<Event*>(event);
        return CUDA_SUCCESS;
    });
}

static Event* find_event(Driver& driver, void* event)
{
    const auto found = driver.events.find(static_cast<Event*>(event));
    return found == driver.events.end() ? nullptr : *found;
}

CUDA_API cuEventRecord(void* event, void* stream)
{
    return call_driver([&](Driver& driver) {
        Event* e = find_event(driver, event);
        const Stream* s = driver.stream(stream);
        if (e == nullptr || s == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        e->capture = s->capture;
        if (!s->capture)
            e->nanoseconds = now();
        return CUDA_SUCCESS;
    });
}

// A stream that waits for an event of a capture joins the capture.
CUDA_API cuStreamWaitEvent(void* stream, void* event, unsigned)
{
    return call_driver([&](Driver& driver) {
        const Event* e = find_event(driver, event);
        Stream* s = driver.stream(stream);
        if (e == nullptr || s == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        if (e->capture && s->capture && e->capture != s->capture)
            return driver.refuse(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "waits for an event of another capture");
        if (e->capture)
            s->capture = e->capture;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuEventSynchronize(void* event)
{
    return call_driver([&](Driver& driver) {
        const Event* e = find_event(driver, event);
        return e == nullptr ? CUDA_ERROR_INVALID_HANDLE : e->capture ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
    });
}

CUDA_API cuEventQuery(void* event) { return cuEventSynchronize(event); }

CUDA_API cuEventElapsedTime(float* milliseconds, void* start, void* end)
{
    return call_driver([&](Driver& driver) {
        const Event *first = find_event(driver, start), *last = find_event(driver, end);
        if (first == nullptr || last == nullptr || first->nanoseconds < 0 || last->nanoseconds < 0)
            return driver.refuse(CUDA_ERROR_INVALID_HANDLE, "time between events that were not recorded");
        *milliseconds = static_cast<float>(last->nanoseconds - first->nanoseconds) * 1e-6f;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuStreamBeginCapture_v2(void* stream, int mode)
{
    return call_driver([&](Driver& driver) {
        Stream* s = driver.stream(stream);
        if (s == nullptr || reinterpret_cast<uintptr_t>(stream) <= 2 || mode < 0 || mode > 2)
            return driver.refuse(CUDA_ERROR_INVALID_VALUE, "the default stream cannot capture");
        if (s->capture)
            return driver.refuse(CUDA_ERROR_ILLEGAL_STATE, "the stream captures already");
        s->capture = std::make_shared<Graph>();
        s->origin = true;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuStreamEndCapture(void* stream, void** graph)
{
    return call_driver([&](Driver& driver) {
        Stream* s = driver.stream(stream);
        if (s == nullptr || !s->capture || !s->origin)
            return driver.refuse(CUDA_ERROR_ILLEGAL_STATE, "no capture began on this stream");
        const std::shared_ptr<Graph> captured = s->capture;
        *graph = new Graph(*captured);
        for (Stream* joined : driver.streams)
            if (joined->capture == captured)
                *joined = {};
        for (Event* event : driver.events)
            if (event->capture == captured)
                event->capture = nullptr;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuGraphInstantiateWithFlags(void** executable, void* graph, uint64_t)
{
    return call_driver([&](Driver&) {
        *executable = new Graph(*static_cast<Graph*>(graph));
        return CUDA_SUCCESS;
    });
}

CUDA_API cuGraphLaunch(void* executable, void* stream)
{
    return call_driver([&](Driver& driver) {
        return driver.submit(stream, [graph = *static_cast<Graph*>(executable)] {
            for (const Work& node : graph.nodes)
                if (const CUresult result = node(); result != CUDA_SUCCESS)
                    return result;
            return CUDA_SUCCESS;
        });
    });
}

CUDA_API cuGraphDestroy(void* graph)
{
    delete static_cast<Graph*>(graph);
    return CUDA_SUCCESS;
}

CUDA_API cuGraphExecDestroy(void* executable)
{
    delete static_cast<Graph*>(executable);
    return CUDA_SUCCESS;
}
