using System.Net;
using LlamaServe.Engine;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;
using LlamaServe.Server;
using LlamaServe.Server.Hosting;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Frontend;

/// <summary>The whole server, as it ships, on a free loopback port of this process, with <see cref="NullRunner"/> for a model.</summary>
internal static class FrontendServer
{
    private const int ContextLength = 16384;

    /// <summary>Starts it.</summary>
    /// <param name="onStep">Called in every step, to take a device's time; null: steps take none.</param>
    /// <returns>The application and the address of its gRPC port.</returns>
    public static async Task<(WebApplication App, string Address)> StartAsync(CancellationToken cancellationToken, Action<StepPlan>? onStep = null)
    {
        ServerOptions options = new()
        {
            Address = IPAddress.Loopback,
            Port = 0,
            MetricsPort = null,
            LogLevel = Microsoft.Extensions.Logging.LogLevel.Warning,
        };
        WebApplication app = ServerApplication.Build(options, (_, token) => StartModelAsync(options.Engine, onStep, token));
        await app.StartAsync(cancellationToken);
        EngineHost host = (EngineHost)app.Services.GetService(typeof(EngineHost))!;
        await host.Model.WaitAsync(cancellationToken);
        return (app, ServerApplication.Addresses(app)[0]);
    }

    // Tokenizer, configuration and defaults are the bundled model's; its weights are dropped again.
    private static async Task<HostedModel> StartModelAsync(EngineOptions options, Action<StepPlan>? onStep, CancellationToken cancellationToken)
    {
        using CpuBackend backend = new(new CpuBackendOptions { Threads = 1 });
        using LoadedModel model = ModelLoader.Load(ServerOptions.BundledModelPath, backend);
        int rows = options.MaxSequences + options.PromptLogProbRows;
        LlamaEngine engine = new(() => new NullRunner(model.Tokenizer, ContextLength, rows, onStep: onStep), options);
        await engine.StartAsync(cancellationToken);
        return new HostedModel("null", engine, model.Tokenizer, model.Model.Config, model.Defaults, "null device");
    }
}
