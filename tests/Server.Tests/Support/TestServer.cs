using Grpc.Net.Client;
using LlamaServe.Engine;
using LlamaServe.Server.Commands;
using LlamaServe.Server.Hosting;
using LlamaServe.Testing;
using LlamaServe.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LlamaServe.Server.Tests.Support;

/// <summary>A whole server in this process, on free loopback ports, with a real client.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly TemporaryFolder? _folder;

    private TestServer(WebApplication app, TemporaryFolder? folder)
    {
        _app = app;
        _folder = folder;
        IReadOnlyList<string> addresses = ServerApplication.Addresses(app);
        Address = addresses[0];
        Channel = GrpcChannel.ForAddress(Address, new GrpcChannelOptions { MaxReceiveMessageSize = null });
        Client = new Generation.GenerationClient(Channel);
        Http = new HttpClient { BaseAddress = new Uri(addresses[1]) };
    }

    /// <summary>A context that takes seconds to fill, so that a request can be caught running.</summary>
    public static TinyModel LongTiny { get; } = TinyModel.Llama31 with { ContextLength = 32768 };

    public string Address { get; }

    public GrpcChannel Channel { get; }

    public Generation.GenerationClient Client { get; }

    /// <summary>The metrics port.</summary>
    public HttpClient Http { get; }

    public EngineHost Host => _app.Services.GetRequiredService<EngineHost>();

    public HostedModel Model => Host.Model.Result;

    public LlamaEngine Engine => Model.Engine;

    /// <summary>Completes when the server stops by itself.</summary>
    public Task Stopping => Task.Delay(TimeSpan.FromMinutes(2), _app.Lifetime.ApplicationStopping)
        .ContinueWith(wait => Assert.That(wait.IsCanceled, "the server goes on"), TaskScheduler.Default);

    /// <summary>Serves a random tiny model of one token a byte.</summary>
    public static async Task<TestServer> StartTiny(EngineOptions? engine = null, TinyModel? model = null, TimeSpan? drainTimeout = null)
    {
        TemporaryFolder folder = new();
        string path = folder.File("tiny");
        TinyModels.Create(model ?? TinyModel.Llama31, path, seed: 7);
        return await Start(Options(path, engine) with { DrainTimeout = drainTimeout ?? TimeSpan.Zero }, ModelStarter.Start, folder);
    }

    /// <summary>Serves the model that comes with the repository.</summary>
    public static Task<TestServer> StartBundled(EngineOptions? engine = null) =>
        Start(Options(RepositoryPaths.BundledModel, engine), ModelStarter.Start);

    /// <summary>Opens the ports without waiting for the model.</summary>
    public static async Task<TestServer> Open(StartModel start)
    {
        WebApplication app = ServerApplication.Build(Options("none", engine: null), start);
        await app.StartAsync();
        return new TestServer(app, folder: null);
    }

    public static EngineOptions SmallEngine() => new() { KvCacheBytes = 64 << 20, MaxSequences = 64, TokenBudget = 256 };

    /// <summary>Waits until the engine holds no block and no request.</summary>
    public async Task WaitUntilIdle()
    {
        for (int i = 0; i < 6000 && Engine.GetStatistics() is not { RequestsInFlight: 0, KvBlocksUsed: 0 }; i++)
        {
            await Task.Delay(10);
        }
        EngineStatistics statistics = Engine.GetStatistics();
        Assert.That((statistics.RequestsInFlight, statistics.KvBlocksUsed), Is.EqualTo((0, 0)), "requests and blocks that are left");
    }

    /// <summary>As a signal does it: drains, then closes.</summary>
    public Task Stop() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        Channel.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        _folder?.Dispose();
    }

    private static async Task<TestServer> Start(ServerOptions options, StartModel start, TemporaryFolder? folder = null)
    {
        WebApplication app = ServerApplication.Build(options, start);
        await app.StartAsync();
        await app.Services.GetRequiredService<EngineHost>().Model;
        return new TestServer(app, folder);
    }

    private static ServerOptions Options(string path, EngineOptions? engine) => new()
    {
        ModelPath = path,
        Port = 0,
        MetricsPort = 0,
        Threads = 2,
        Engine = engine ?? SmallEngine(),
        DrainTimeout = TimeSpan.Zero,
        LogLevel = LogLevel.Error,
    };
}
