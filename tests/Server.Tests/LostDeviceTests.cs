using Grpc.Core;
using Grpc.Health.V1;
using LlamaServe.Engine;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Models;
using LlamaServe.Server.Hosting;
using LlamaServe.Server.Tests.Support;
using LlamaServe.Testing;
using LlamaServe.V1;
using Microsoft.Extensions.Logging;

namespace LlamaServe.Server.Tests;

/// <summary>
/// A kernel that reads memory that is not there, under a server with the emulated device. As on a GPU, every later call of the
/// process fails: nothing else in this assembly may use the emulated device in this process.
/// </summary>
[Category("CudaEmulated")]
public sealed class LostDeviceTests : ILogger<LlamaEngine>
{
    private static readonly TinyModel Model = TinyModel.Llama31 with
    {
        HiddenSize = 128,
        HeadDim = 64,
        Heads = 2,
        KvHeads = 1,
        Layers = 2,
        ContextLength = 32768,
    };

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly List<(string Message, Exception? Exception)> _faults = [];

    [Test]
    public async Task A_kernel_fault_ends_the_streams_with_its_reason_and_the_health()
    {
        using TemporaryFolder folder = new();
        TinyModels.Create(Model, folder.Path, seed: 7);
        CudaBackend device = Create();
        await using TestServer server = await TestServer.Open((_, _) => Serve(folder.Path, device));
        await server.Host.Model.WaitAsync(Patience);
        Health.HealthClient health = new(server.Channel);
        Assert.That(() => health.Check(new HealthCheckRequest()).Status, Is.EqualTo(HealthCheckResponse.Types.ServingStatus.Serving).After(60_000, 20));
        AsyncServerStreamingCall<GenerateResponse>[] calls = [.. Enumerable.Range(0, 3).Select(i => server.Client.Generate(Requests.Endless($"{i}")))];
        foreach (AsyncServerStreamingCall<GenerateResponse> call in calls)
        {
            Assert.That(await call.ResponseStream.MoveNext().WaitAsync(Patience));
        }

        // The emulated driver frees nothing while a graph is captured, which is once the streams have run together for two steps.
        Assert.That(() => server.Engine.GetStatistics().RunningSequences, Is.EqualTo(calls.Length).After(60_000, 5));
        long replays = device.Graphs.Replays;
        Assert.That(() => device.Graphs.Replays, Is.GreaterThan(replays + 8).After(60_000, 5));

        // Weights and cache are gone from under the kernels.
        device.Runtime.Memory.Dispose();
        StreamResult[] results = await Task.WhenAll(calls.Select(call => StreamResult.Read(call))).WaitAsync(Patience);
        await server.Stopping;
        StreamResult late = await StreamResult.Read(server.Client.Generate(Requests.Text("a", 1))).WaitAsync(Patience);
        Assert.Multiple(() =>
        {
            Assert.That(results.Select(result => result.Status), Is.All.EqualTo(StatusCode.Internal));
            Assert.That(results.Select(result => result.Failure!.Status.Detail), Is.All.EqualTo("The device is lost."));
            Assert.That(late.Status, Is.EqualTo(StatusCode.Unavailable));
            foreach (string service in new[] { "", Generation.Descriptor.FullName, "liveness" })
            {
                HealthCheckResponse check = health.Check(new HealthCheckRequest { Service = service });
                Assert.That(check.Status, Is.EqualTo(HealthCheckResponse.Types.ServingStatus.NotServing), service);
            }
        });
        await server.Stop().WaitAsync(Patience);
        Assert.That(server.Host.HasFailed, "which ends the process with code 4");
        Exception? fault = _faults.Single(entry => entry.Message.StartsWith("The device is lost", StringComparison.Ordinal)).Exception;
        Assert.That(fault, Is.TypeOf<CudaException>().With.Message.Contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "the fault itself, not what failed after it");
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_faults)
        {
            _faults.Add((formatter(state, exception), exception));
        }
    }

    private async Task<HostedModel> Serve(string path, CudaBackend device)
    {
        LoadedModel? model = null;
        LlamaEngine engine = new(() => model = ModelLoader.Load(path, device), TestServer.SmallEngine() with { KvCacheBytes = 40 << 20 }, log: this);
        await engine.StartAsync();
        return new HostedModel("tiny", engine, model!.Tokenizer, model.Model.Config, model.Defaults, device.Description);
    }

    private static CudaBackend Create()
    {
        try
        {
            return new CudaBackend(new CudaBackendOptions { Emulated = true, PoolBytes = 128 << 20 });
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} A server whose device is lost is NOT checked");
            throw;
        }
    }
}
