using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Threading.Channels;
using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace LlamaServe.Engine;

// Path 3/9: the façade. Requests in, tokens out; here the callers' threads end and the loop's begins.

/// <summary>A model that is being served: validates and takes requests, and streams their tokens. Safe for any number of threads.</summary>
public sealed class LlamaEngine : IAsyncDisposable
{
    private static readonly TimeSpan RestartRetry = TimeSpan.FromSeconds(2);

    private readonly LoopContext _context;
    private readonly LoopSupervisor _supervisor;
    private volatile RequestValidator? _validator;
    private long _arrivals;

    /// <param name="load">Loads the model on a backend of its own, which the engine owns then; called once, and again after a step that hung.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public LlamaEngine(
        Func<LoadedModel> load, EngineOptions options, TimeProvider? time = null, ILogger<LlamaEngine>? log = null, IMeterFactory? meters = null)
        : this(() => ModelRunner.Create(load(), options), options, time, log, meters)
    {
    }

    internal LlamaEngine(
        Func<IModelRunner> createRunner,
        EngineOptions options,
        TimeProvider? time = null,
        ILogger? log = null,
        IMeterFactory? meters = null,
        bool checksEachStep = false)
    {
        options.Validate();
        _context = new LoopContext(
            options,
            // Only the loop waits on it, by blocking its thread: whoever writes may wake it directly.
            Channel.CreateUnbounded<EngineCommand>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = true }),
            new AdmissionControl(options),
            new EngineCounters(),
            new EngineMetrics(meters, GetStatistics),
            log ?? NullLogger.Instance,
            time ?? TimeProvider.System)
        {
            ChecksEachStep = checksEachStep,
        };
        _supervisor = new LoopSupervisor(_context, createRunner);
    }

    public EngineState State => _supervisor.State;

    /// <summary>What a request may ask for; null until the model is loaded.</summary>
    public ServingLimits? Limits => _supervisor.Capacity is { } capacity ? LimitsFor(capacity) : null;

    /// <summary>Starts loading the model.</summary>
    /// <returns>Completes when requests are taken; fails with what the loader threw.</returns>
    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        _supervisor.Start();
        return _supervisor.Ready.WaitAsync(cancellationToken);
    }

    /// <summary>Validates a request and puts it into the queue, or says why not.</summary>
    /// <param name="cancellationToken">Ends the request at the next step.</param>
    public Admission Submit(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (NotReady() is { } notReady || (notReady = Validate(request)) is not null)
        {
            return new Admission(null, notReady);
        }
        RequestTerms terms = Terms(request);
        if (_context.Admission.TryEnter(terms.Id, request.Tenant, terms.Cost) is { } refusal)
        {
            return new Admission(null, refusal);
        }
        var active = new ActiveRequest(request, terms, _context.Post);
        active.Clock.Submitted = _context.Time.GetTimestamp();
        if (request.Deadline is { } deadline)
        {
            active.Clock.Deadline = active.Clock.Submitted + Ticks(deadline - _context.Time.GetUtcNow());
        }
        active.Cancellation = cancellationToken.UnsafeRegister(static state => ((ActiveRequest)state!).Cancel(), active);
        if (!_context.Commands.Writer.TryWrite(new EngineCommand(EngineCommandKind.Add, active)))
        {
            active.Cancellation.Unregister();
            _context.Admission.Leave(terms.Id, request.Tenant, terms.Cost);
            return new Admission(null, NotReady() ?? new Rejection(RejectionReason.NotReady, "The engine has stopped."));
        }
        return new Admission(active.Handle, null);
    }

    /// <summary>Submits a request and streams its tokens; leaving the loop ends the request.</summary>
    /// <exception cref="RequestRejectedException">The request was not taken.</exception>
    public async IAsyncEnumerable<GeneratedToken> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        Admission admission = Submit(request, cancellationToken);
        using Generation generation = admission.Generation ?? throw new RequestRejectedException(admission.Rejection!);
        await foreach (GeneratedToken token in generation.Tokens.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
        {
            yield return token;
        }
    }

    public EngineStatistics GetStatistics()
    {
        EngineCounters c = _context.Counters;
        return new EngineStatistics
        {
            State = State,
            WaitingSequences = c.Waiting,
            RunningSequences = c.Running,
            PausedSequences = c.Paused,
            RequestsInFlight = _context.Admission.Count,
            KvBlocks = c.KvBlocks,
            KvBlocksUsed = c.KvBlocksUsed,
            KvHostBlocks = c.KvHostBlocks,
            KvHostBlocksUsed = c.KvHostBlocksUsed,
            BlocksSwappedOut = c.BlocksSwappedOut,
            BlocksSwappedIn = c.BlocksSwappedIn,
            Steps = c.Steps,
            PrefixQueriedTokens = c.PrefixQueriedTokens,
            PrefixHitTokens = c.PrefixHitTokens,
            PrefixHostHitTokens = c.PrefixHostHitTokens,
            Preemptions = c.Preemptions,
            PrefillTokens = c.PrefillTokens,
            GeneratedTokens = c.GeneratedTokens,
            Restarts = c.Restarts,
            LastStepTime = c.LastStep,
            LastHostTime = c.LastHost,
        };
    }

    /// <summary>Takes no new requests, lets those in flight run on, and stops: when they are done or the time is up.</summary>
    /// <returns>Whether all of them came to their own end.</returns>
    public async Task<bool> DrainAsync(TimeSpan timeout)
    {
        _supervisor.BeginDrain();
        Task empty = _context.Admission.WhenEmpty();
        using var expired = new CancellationTokenSource(timeout, _context.Time);
        await Task.WhenAny(empty, _supervisor.Ended, Task.Delay(Timeout.InfiniteTimeSpan, expired.Token)).ConfigureAwait(false);
        bool isDone = empty.IsCompleted;
        _context.Post(new EngineCommand(EngineCommandKind.Stop));
        await _supervisor.Ended.ConfigureAwait(false);
        return isDone;
    }

    public async ValueTask DisposeAsync()
    {
        await DrainAsync(TimeSpan.Zero).ConfigureAwait(false);
        _supervisor.Dispose();
        _context.Metrics.Dispose();
    }

    private Rejection? NotReady() => State switch
    {
        EngineState.Ready => null,
        EngineState.Starting => new Rejection(RejectionReason.NotReady, "The model is being loaded.", RetryAfter: RestartRetry),
        EngineState.Draining or EngineState.Stopped => new Rejection(RejectionReason.Draining, "The server is shutting down."),
        _ => new Rejection(RejectionReason.NotReady, "The engine has failed."),
    };

    private Rejection? Validate(GenerationRequest request)
    {
        _validator ??= new RequestValidator(Limits!);
        if (_validator.Validate(request) is { } rejection)
        {
            return rejection;
        }
        return request.Deadline <= _context.Time.GetUtcNow()
            ? new Rejection(RejectionReason.DeadlineExceeded, "The deadline has passed.", nameof(request.Deadline))
            : null;
    }

    private RequestTerms Terms(GenerationRequest request)
    {
        int maxTokens = Limits!.MaxTokens(request);
        return new RequestTerms(
            request.RequestId.Length > 0 ? request.RequestId : Guid.NewGuid().ToString("N"),
            request.Sampling.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))),
            maxTokens,
            Interlocked.Increment(ref _arrivals),
            _context.Hasher.Root(request.Tenant, request.CacheSalt),
            RequestCost.Of(request, maxTokens, _context.Options.TokenBuffer),
            _context.Options.TokenBuffer,
            _supervisor.Capacity!.EndTokenIds);
    }

    /// <summary>A time span in the clock's unit; a century stands for all that is longer.</summary>
    private long Ticks(TimeSpan span) => (long)(Math.Min(span.TotalDays, 36525) * TimeSpan.SecondsPerDay * _context.Time.TimestampFrequency);

    private ServingLimits LimitsFor(RunnerCapacity capacity) => new()
    {
        VocabularySize = capacity.VocabularySize,
        ContextLength = capacity.ContextLength,
        KvCacheTokens = (int)Math.Min(int.MaxValue, (long)capacity.Blocks * _context.Options.BlockSize),
        MaxSamples = _context.Options.MaxSamples,
        TokenBuffer = _context.Options.TokenBuffer,
        MaxHostBytes = _context.Options.MaxHostBytesPerRequest,
    };
}
