using LlamaServe.Engine.Requests;

namespace LlamaServe.Engine;

/// <summary>The requests that a loop works on, and the instants at which one of them has to end.</summary>
internal sealed class LiveRequests
{
    private readonly HashSet<ActiveRequest> _all = [];
    private readonly PriorityQueue<ActiveRequest, long> _deadlines = new();
    private readonly List<ActiveRequest> _paused = [];

    public int Count => _all.Count;

    public IReadOnlyList<ActiveRequest> Paused => _paused;

    public bool Contains(ActiveRequest request) => _all.Contains(request);

    public ActiveRequest[] ToArray() => [.. _all];

    public void Add(ActiveRequest request)
    {
        _all.Add(request);
        if (request.Clock.Deadline != 0)
        {
            _deadlines.Enqueue(request, request.Clock.Deadline);
        }
        if (request.Clock.PausedSince != 0)
        {
            _paused.Add(request);
        }
    }

    public void Remove(ActiveRequest request)
    {
        _all.Remove(request);
        _paused.Remove(request);
    }

    public void Pause(ActiveRequest request, long now)
    {
        request.Clock.PausedSince = now;
        _paused.Add(request);
    }

    public void Resume(ActiveRequest request)
    {
        request.Clock.PausedSince = 0;
        _paused.Remove(request);
    }

    /// <summary>A request whose deadline has passed; null when there is none (left).</summary>
    public ActiveRequest? NextExpired(long now) => NextDeadline() <= now ? _deadlines.Dequeue() : null;

    /// <summary>A request that has been paused since <paramref name="before"/> or longer.</summary>
    public ActiveRequest? NextTooSlow(long before)
    {
        foreach (ActiveRequest request in _paused)
        {
            if (request.Clock.PausedSince <= before)
            {
                return request;
            }
        }
        return null;
    }

    /// <summary>The instant at which the next of them has to end; long.MaxValue for none.</summary>
    public long NextInstant(long slowReaderTimeout)
    {
        long next = NextDeadline();
        foreach (ActiveRequest request in _paused)
        {
            next = Math.Min(next, request.Clock.PausedSince + slowReaderTimeout);
        }
        return next;
    }

    private long NextDeadline()
    {
        while (_deadlines.TryPeek(out ActiveRequest? request, out long deadline))
        {
            if (_all.Contains(request))
            {
                return deadline;
            }
            _deadlines.Dequeue();
        }
        return long.MaxValue;
    }
}
