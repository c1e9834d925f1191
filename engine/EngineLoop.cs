using LlamaServe.Engine.Execution;
using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine;

// Path 4/9: one thread owns all state of the engine; a step is a sentence: take in, schedule, execute, commit, publish.

/// <summary>
/// One life of the loop: a thread with a runner, a scheduler and the requests in flight. When a step hangs, the supervisor
/// abandons this life and gives its requests to the next, which computes their known tokens again.
/// </summary>
internal sealed class EngineLoop
{
    private static readonly TimeSpan IdleCheckInterval = TimeSpan.FromSeconds(10);

    private readonly LoopContext _context;
    private readonly Func<IModelRunner> _createRunner;
    private readonly LoopSupervisor _supervisor;
    private readonly LiveRequests _live = new();
    private readonly StepWatch _watch = new();
    private readonly StepMeter _meter;
    private ActiveRequest[] _adopted;
    private IModelRunner? _runner;
    private Scheduler _scheduler = null!;
    private OutputStage _output;
    private StepExecutor _executor = null!;
    private IdleClock _idle = null!;
    private Intake _intake = null!;
    private long _checkedAt;
    private bool _isIdle = true;

    /// <param name="adopted">Requests of a former life.</param>
    public EngineLoop(LoopContext context, Func<IModelRunner> createRunner, LoopSupervisor supervisor, ActiveRequest[] adopted)
    {
        _context = context;
        _createRunner = createRunner;
        _supervisor = supervisor;
        _adopted = adopted;
        _meter = new StepMeter(context);
        _output = new OutputStage(context, _live, null);
    }

    /// <summary>Steps done.</summary>
    public long Steps => _meter.Steps;

    /// <summary>The requests in flight and those among them whose step was under way; for the supervisor, once this life is over.</summary>
    public (ActiveRequest[] All, HashSet<ActiveRequest> InStep) Leftovers()
    {
        var inStep = new HashSet<ActiveRequest>();
        foreach (StepPlan plan in _executor.Plans)
        {
            foreach (StepSlice slice in plan.Slices)
            {
                inStep.Add(((Sample)slice.Sequence.Owner!).Request);
            }
        }
        return ([.. _live.ToArray().Union(_adopted.Where(r => r.Live > 0))], inStep);
    }

    public void Start() => new Thread(Run) { Name = "LlamaServe engine", IsBackground = true }.Start();

    /// <summary>Gives up on this life if its step began before <paramref name="limit"/>; its state then belongs to the caller.</summary>
    public bool TryAbandon(long limit) => _watch.TryAbandon(limit);

    /// <summary>Ends all requests, also those still on their way in; no thread may be running.</summary>
    public void Close(string reason)
    {
        _context.Commands.Writer.TryComplete();
        foreach (ActiveRequest request in _adopted.Where(r => r.Live > 0))
        {
            _live.Add(request);
        }
        while (_context.Commands.Reader.TryRead(out EngineCommand command))
        {
            if (command.Kind == EngineCommandKind.Add)
            {
                _live.Add(command.Request!);
            }
        }
        foreach (ActiveRequest request in _live.ToArray())
        {
            _output.FinishAll(request, FinishReason.Error, Now, reason);
        }
        _output.Publish(Now);
    }

    private long Now => _context.Time.GetTimestamp();

    private void Run()
    {
        try
        {
            Open();
        }
        catch (Exception exception)
        {
            DisposeRunner();
            _supervisor.LoadFailed(this, exception);
            return;
        }
        try
        {
            RunToEnd();
        }
        catch (Exception exception)
        {
            _supervisor.Crashed(this, exception);
        }
    }

    private void RunToEnd()
    {
        bool isStopped;
        try
        {
            isStopped = RunSteps();
        }
        finally
        {
            _idle.Close();
            DisposeRunner();
        }
        if (isStopped)
        {
            _supervisor.Stopped();
        }
    }

    /// <returns>false when this life was given up.</returns>
    private bool RunSteps()
    {
        while (TakeIn())
        {
            _meter.Begin();
            StepPlan plan = _executor.Next;
            _scheduler.Schedule(plan, Now);
            plan.Started = _meter.Started;
            _isIdle = plan.IsEmpty && !_executor.IsBusy;
            StepPlan? done = null;
            if (!_isIdle && !_executor.TryStep(out done))
            {
                return false;
            }
            _output.Publish(Now);
            _meter.End(done, _scheduler, _live);
            CheckIntegrity();
        }
        Close("The server is shutting down.");
        return true;
    }

    private void Open()
    {
        _runner = _createRunner();
        RunnerCapacity capacity = _runner.Capacity;
        EngineOptions options = _context.Options;
        HostTier? host = capacity.HostBlocks > 0 ? new HostTier(capacity.HostBlocks, _context.Counters) : null;
        var blocks = new KvCacheManager(capacity.Blocks, options.BlockSize, options.PrefixCaching, _context.Hasher, host);
        _scheduler = new Scheduler(_context.SchedulerOptions(), blocks, _context.Costs, _context.Counters);
        _output = new OutputStage(_context, _live, _scheduler);
        var progress = new StepProgress(blocks);
        var committer = new StepCommitter(_context, _scheduler, progress, _output);
        _executor = new StepExecutor(_context, _runner, _watch, _meter, committer, _output);
        _idle = new IdleClock(_context);
        _meter.Blocks = blocks;
        _intake = new Intake(_context, _runner, _live, _scheduler, _output);
        foreach (ActiveRequest request in _adopted)
        {
            _intake.Adopt(request);
        }
        _adopted = [];
        _output.Publish(Now);
        _context.Post(new EngineCommand(EngineCommandKind.Tick));
        _supervisor.Opened(capacity);
    }

    /// <summary>Frees the runner. A failure to do so is logged: it may neither take the place of the fault that led here nor end the process.</summary>
    private void DisposeRunner()
    {
        try
        {
            _runner?.Dispose();
        }
        catch (Exception exception)
        {
            _context.Log.DisposeFailed(exception);
        }
    }

    /// <summary>Takes in what has come; without work it blocks until something does. False to stop.</summary>
    private bool TakeIn()
    {
        if (_isIdle)
        {
            _idle.WaitForCommand(_live);
        }
        bool goesOn = _intake.TakeIn();
        _output.Publish(Now);
        return goesOn;
    }

    private void CheckIntegrity()
    {
        if (_context.ChecksEachStep || (_isIdle && _context.Time.GetElapsedTime(_checkedAt) > IdleCheckInterval))
        {
            _scheduler.CheckIntegrity();
            _checkedAt = Now;
        }
    }
}
