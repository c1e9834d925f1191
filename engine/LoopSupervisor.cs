using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Kernels;

namespace LlamaServe.Engine;

/// <summary>
/// Starts the loop and keeps one alive: a watchdog gives up a loop whose step hangs, and a fresh loop with a fresh runner
/// takes over its requests. A request whose step hung twice, or during whose step the loop itself failed, is ended instead. A lost
/// device ends the engine at once: no runner of this process can have it again.
/// </summary>
internal sealed class LoopSupervisor : IDisposable
{
    private readonly LoopContext _context;
    private readonly Func<IModelRunner> _createRunner;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly long _stepTimeout;
    private ITimer? _watchdog;
    private EngineLoop? _loop;
    private int _failuresInRow;
    private bool _isDraining;
    private volatile RunnerCapacity? _capacity;
    private volatile EngineState _state = EngineState.Starting;

    public LoopSupervisor(LoopContext context, Func<IModelRunner> createRunner)
    {
        _context = context;
        _createRunner = createRunner;
        _stepTimeout = (long)(context.Options.StepTimeout.TotalSeconds * context.Time.TimestampFrequency);
    }

    public EngineState State => _state;

    /// <summary>null until the model is loaded.</summary>
    public RunnerCapacity? Capacity => _capacity;

    /// <summary>Completes when the model is loaded; fails when it cannot be.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Completes when nothing will run any more.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Starts loading; a second call changes nothing.</summary>
    public void Start()
    {
        lock (_gate)
        {
            if (_loop is null && !_ended.Task.IsCompleted)
            {
                TimeSpan period = _context.Options.StepTimeout / 4;
                _watchdog = _context.Time.CreateTimer(_ => Watch(), null, period, period);
                StartLoop([]);
            }
        }
    }

    /// <summary>Takes no requests from now on.</summary>
    public void BeginDrain()
    {
        lock (_gate)
        {
            _isDraining = true;
            if (_state is EngineState.Starting or EngineState.Ready)
            {
                _state = EngineState.Draining;
                _context.Log.Draining(_context.Admission.Count);
            }
            if (_loop is null)
            {
                End(EngineState.Stopped);
            }
        }
    }

    /// <summary>Called by the loop: the model is loaded.</summary>
    public void Opened(RunnerCapacity capacity)
    {
        lock (_gate)
        {
            _capacity = capacity;
            _state = _isDraining ? EngineState.Draining : EngineState.Ready;
        }
        _context.Log.Ready(capacity.Blocks, _context.Options.BlockSize, capacity.ContextLength);
        _ready.TrySetResult();
    }

    /// <summary>Called by the loop: the model could not be loaded.</summary>
    public void LoadFailed(EngineLoop loop, Exception exception)
    {
        const string Reason = "The model could not be loaded.";
        lock (_gate)
        {
            _state = EngineState.Failed;
            _ready.TrySetException(exception);
            // The first load's failure goes to who started the engine, to report as it sees fit.
            if (_capacity is null)
            {
                Fail(loop, Reason);
            }
            else
            {
                _context.Log.LoadFailed(exception);
                GiveUp(loop, Reason);
            }
        }
    }

    /// <summary>Called by the loop: something outside the model failed.</summary>
    public void Crashed(EngineLoop loop, Exception exception)
    {
        lock (_gate)
        {
            if (loop != _loop)
            {
                return;
            }
            (ActiveRequest[] all, HashSet<ActiveRequest> inStep) = loop.Leftovers();
            if (exception is DeviceException { IsLost: true })
            {
                _context.Log.DeviceLost(all.Length, exception);
                GiveUp(Successor(all), "The device is lost.");
                return;
            }
            _context.Log.LoopFailed(all.Length, exception);
            foreach (ActiveRequest request in inStep)
            {
                request.Faults += 2;
            }
            Restart(loop, all);
        }
    }

    /// <summary>Called by the loop: it has ended everything.</summary>
    public void Stopped()
    {
        lock (_gate)
        {
            End(EngineState.Stopped);
        }
        _context.Log.Stopped();
    }

    public void Dispose() => _watchdog?.Dispose();

    private void Watch()
    {
        lock (_gate)
        {
            if (_loop is not { } loop || !loop.TryAbandon(_context.Time.GetTimestamp() - _stepTimeout))
            {
                return;
            }
            (ActiveRequest[] all, HashSet<ActiveRequest> inStep) = loop.Leftovers();
            _context.Log.StepHung(_context.Options.StepTimeout.TotalSeconds, all.Length);
            foreach (ActiveRequest request in inStep)
            {
                request.Faults++;
            }
            Restart(loop, all);
        }
    }

    private void Restart(EngineLoop failed, ActiveRequest[] leftovers)
    {
        _context.Counters.Restarts++;
        _failuresInRow = failed.Steps == 0 ? _failuresInRow + 1 : 1;
        if (_failuresInRow > _context.Options.MaxRestarts)
        {
            GiveUp(Successor(leftovers), "Steps keep failing.");
            return;
        }
        _state = _isDraining ? EngineState.Draining : EngineState.Starting;
        StartLoop(leftovers);
    }

    private void StartLoop(ActiveRequest[] adopted)
    {
        _loop = Successor(adopted);
        _loop.Start();
    }

    private EngineLoop Successor(ActiveRequest[] adopted) => new(_context, _createRunner, this, adopted);

    private void GiveUp(EngineLoop last, string reason)
    {
        _context.Log.GaveUp(reason);
        Fail(last, reason);
    }

    private void Fail(EngineLoop last, string reason)
    {
        last.Close(reason);
        End(EngineState.Failed);
    }

    private void End(EngineState state)
    {
        _context.Commands.Writer.TryComplete();
        _watchdog?.Dispose();
        _loop = null;
        _state = state;
        _ready.TrySetException(new InvalidOperationException("The engine was stopped."));
        _ended.TrySetResult();
    }
}
