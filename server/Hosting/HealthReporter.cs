using Grpc.Health.V1;
using Grpc.HealthCheck;
using LlamaServe.Engine;
using LlamaServe.V1;

namespace LlamaServe.Server.Hosting;

/// <summary>
/// Keeps grpc.health.v1 in step with the engine: "" and the service's name tell readiness, <see cref="Liveness"/> tells whether
/// the loop is alive. A server whose engine has failed for good stops.
/// </summary>
internal sealed class HealthReporter(
    EngineHost host, HealthServiceImpl health, IHostApplicationLifetime lifetime, ILogger<HealthReporter> logger) : BackgroundService
{
    /// <summary>SERVING as long as a restart would not help.</summary>
    public const string Liveness = "liveness";

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    public static bool IsAlive(EngineState state) => state is not (EngineState.Failed or EngineState.Stopped);

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        Report(host.State);
        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Interval);
        EngineState last = host.State;
        Report(last);
        while (!stoppingToken.IsCancellationRequested)
        {
            await timer.WaitForNextTickAsync(CancellationToken.None);
            EngineState state = host.State;
            if (state == last)
            {
                continue;
            }
            last = state;
            Report(state);
            if (state == EngineState.Failed && host.Model.IsCompletedSuccessfully)
            {
                logger.EngineFailed();
                lifetime.StopApplication();
            }
        }
    }

    private void Report(EngineState state)
    {
        Set("", state == EngineState.Ready);
        Set(Generation.Descriptor.FullName, state == EngineState.Ready);
        Set(Liveness, IsAlive(state));
    }

    private void Set(string service, bool isServing) => health.SetStatus(
        service, isServing ? HealthCheckResponse.Types.ServingStatus.Serving : HealthCheckResponse.Types.ServingStatus.NotServing);
}
