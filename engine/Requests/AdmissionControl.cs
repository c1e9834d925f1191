namespace LlamaServe.Engine.Requests;

/// <summary>
/// Counts the requests in flight and refuses what goes beyond the limits. Called by front ends and the loop alike, hence the
/// lock; the scheduler has none.
/// </summary>
internal sealed class AdmissionControl(EngineOptions options)
{
    private static readonly TimeSpan ShortestRetry = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly HashSet<string> _ids = [];
    private readonly Dictionary<string, int> _tenants = [];
    private long _tokens;
    private long _hostBytes;
    private double _tokensPerSecond;
    private TaskCompletionSource? _empty;

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _ids.Count;
            }
        }
    }

    /// <summary>Counts a request in, or says why not.</summary>
    public Rejection? TryEnter(string id, string tenant, RequestCost cost)
    {
        lock (_gate)
        {
            int ofTenant = _tenants.GetValueOrDefault(tenant);
            if (_ids.Count >= options.MaxRequests)
            {
                return Full("Too many requests are in flight.");
            }
            if (ofTenant >= options.MaxRequestsPerTenant)
            {
                return Full("Too many requests of this tenant are in flight.");
            }
            if (_ids.Count > 0 && (_tokens + cost.Tokens > options.MaxTokensInFlight || _hostBytes + cost.HostBytes > options.MaxHostBytes))
            {
                return Full("The requests in flight may need all there is.");
            }
            if (!_ids.Add(id))
            {
                return new Rejection(RejectionReason.DuplicateRequestId, "A request with this id is in flight.", nameof(GenerationRequest.RequestId));
            }
            _tenants[tenant] = ofTenant + 1;
            _tokens += cost.Tokens;
            _hostBytes += cost.HostBytes;
            return null;
        }
    }

    /// <summary>Counts a request out.</summary>
    public void Leave(string id, string tenant, RequestCost cost)
    {
        lock (_gate)
        {
            _ids.Remove(id);
            _tokens -= cost.Tokens;
            _hostBytes -= cost.HostBytes;
            if (--_tenants[tenant] == 0)
            {
                _tenants.Remove(tenant);
            }
            if (_ids.Count == 0)
            {
                _empty?.TrySetResult();
            }
        }
    }

    /// <summary>Completes once no request is in flight.</summary>
    public Task WhenEmpty()
    {
        lock (_gate)
        {
            if (_ids.Count == 0)
            {
                return Task.CompletedTask;
            }
            _empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _empty.Task;
        }
    }

    /// <summary>Tells how fast work is done lately.</summary>
    public void ReportRate(double tokensPerSecond) => Volatile.Write(ref _tokensPerSecond, tokensPerSecond);

    /// <summary>The time in which an average request in flight is worked off.</summary>
    private Rejection Full(string message)
    {
        double rate = Volatile.Read(ref _tokensPerSecond);
        double seconds = rate > 0 ? _tokens / (double)Math.Max(1, _ids.Count) / rate : 1;
        TimeSpan retry = TimeSpan.FromSeconds(Math.Clamp(seconds, ShortestRetry.TotalSeconds, LongestRetry.TotalSeconds));
        return new Rejection(RejectionReason.QueueFull, message, RetryAfter: retry);
    }
}
