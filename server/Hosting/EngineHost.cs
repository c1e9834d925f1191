using Grpc.Core;
using LlamaServe.Engine;
using LlamaServe.Server.Mapping;

namespace LlamaServe.Server.Hosting;

/// <summary>
/// The engine's life within the server's: the model loads while the ports already answer UNAVAILABLE, and a signal to stop
/// drains before the ports close.
/// </summary>
internal sealed class EngineHost(
    StartModel start, ServerOptions options, IServiceProvider services, ILogger<EngineHost> logger)
    : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private Task<HostedModel> _model = Task.FromException<HostedModel>(new InvalidOperationException("the host is not started"));
    private volatile bool _isDraining;
    private volatile bool _isWithdrawn;

    /// <summary>The model once it is loaded; fails with what its loader threw.</summary>
    public Task<HostedModel> Model => _model;

    /// <summary>The time for running requests is up or running out; new ones are refused.</summary>
    public bool IsDraining => _isDraining;

    /// <summary>The engine gave up while it was serving.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>What probes see. Withdrawn servers still take requests during the drain's grace.</summary>
    public EngineState State
    {
        get
        {
            if (_isWithdrawn)
            {
                return EngineState.Draining;
            }
            return _model.IsCompletedSuccessfully ? _model.Result.Engine.State
                : _model.IsFaulted ? EngineState.Failed
                : EngineState.Starting;
        }
    }

    /// <summary>The model, for a call that names one.</summary>
    /// <param name="requested">Empty for whichever is served.</param>
    /// <exception cref="RpcException">UNAVAILABLE or NOT_FOUND.</exception>
    public HostedModel Serving(string requested)
    {
        if (_isDraining)
        {
            throw StatusTable.Draining();
        }
        if (!_model.IsCompletedSuccessfully)
        {
            throw StatusTable.Loading();
        }
        HostedModel model = _model.Result;
        return requested.Length == 0 || requested == model.Name ? model : throw StatusTable.UnknownModel(model.Name);
    }

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        _model = Task.Run(() => start(services, _stopping.Token), CancellationToken.None);
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Runs before the ports close.</summary>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _isWithdrawn = true;
        if (_model.IsCompletedSuccessfully)
        {
            await Task.Delay(options.DrainGrace, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            LlamaEngine engine = _model.Result.Engine;
            HasFailed = engine.State == EngineState.Failed;
            await Drain(engine);
        }
        await _stopping.CancelAsync();
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        await ((Task)_model).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_model.IsCompletedSuccessfully)
        {
            await _model.Result.Engine.DisposeAsync();
        }
    }

    public void Dispose() => _stopping.Dispose();

    private async Task Drain(LlamaEngine engine)
    {
        _isDraining = true;
        logger.Draining(options.DrainTimeout.TotalSeconds);
        int running = engine.GetStatistics().RequestsInFlight;
        if (!await engine.DrainAsync(options.DrainTimeout))
        {
            logger.DrainTimedOut(running);
        }
    }
}
