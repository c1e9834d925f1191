using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using LlamaServe.Server.Tests.Support;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>What a server offers beside Generate: tokenizing, information, health, reflection, metrics.</summary>
public sealed class ServiceSurfaceTests : TinyServerTests
{
    [Test]
    public async Task Tokenize_and_detokenize_are_each_others_inverse()
    {
        const string Text = "Es war einmal – 😀";
        TokenizeResponse ids = await Server.Client.TokenizeAsync(new TokenizeRequest { Text = Text });
        DetokenizeResponse back = await Server.Client.DetokenizeAsync(new DetokenizeRequest { TokenIds = { ids.TokenIds } });
        Assert.That(back.Text, Is.EqualTo(Text));
    }

    [Test]
    public async Task Special_tokens_in_a_text_are_text_unless_asked_for()
    {
        TokenizeRequest request = new() { Text = "<|end|>" };
        TokenizeResponse plain = await Server.Client.TokenizeAsync(request);
        request.Tokenization = new TokenizationOptions { ParseSpecialTokens = true };
        TokenizeResponse parsed = await Server.Client.TokenizeAsync(request);
        Assert.Multiple(() =>
        {
            Assert.That(plain.TokenIds, Has.Count.EqualTo(7));
            Assert.That(parsed.TokenIds, Is.EqualTo(new uint[] { 257 }));
        });
    }

    [Test]
    public async Task Model_information_states_the_limits_that_hold()
    {
        GetModelInfoResponse info = await Server.Client.GetModelInfoAsync(new GetModelInfoRequest { Model = "tiny" });
        Assert.Multiple(() =>
        {
            Assert.That(info.Name, Is.EqualTo("tiny"));
            Assert.That(info.Architecture, Is.EqualTo("Llama"));
            Assert.That((info.VocabularySize, info.MaxContextLength), Is.EqualTo((288u, 256u)));
            Assert.That(info.EosTokenIds, Is.EqualTo(new uint[] { 257 }));
            Assert.That(info.BosTokenId, Is.EqualTo(256));
            Assert.That((info.MaxSamples, info.MaxLogprobs), Is.EqualTo((16u, 20u)));
            Assert.That(info.DefaultSampling.Temperature, Is.EqualTo(1));
            Assert.That(info.KvCacheTokens, Is.GreaterThan(256));
            Assert.That(info.Device, Does.StartWith("cpu"));
            Assert.That(info.Version, Does.StartWith("0."));
        });
    }

    [Test]
    public async Task Reflection_lists_the_services_and_gives_their_files()
    {
        ServerReflection.ServerReflectionClient client = new(Server.Channel);
        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call = client.ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" });
        await call.ResponseStream.MoveNext();
        string[] services = [.. call.ResponseStream.Current.ListServicesResponse.Service.Select(s => s.Name)];
        await call.RequestStream.WriteAsync(new ServerReflectionRequest { FileContainingSymbol = "llamaserve.v1.Generation" });
        await call.ResponseStream.MoveNext();
        FileDescriptorProto file = FileDescriptorProto.Parser.ParseFrom(call.ResponseStream.Current.FileDescriptorResponse.FileDescriptorProto[0]);
        await call.RequestStream.CompleteAsync();
        Assert.Multiple(() =>
        {
            Assert.That(services, Is.SupersetOf(new[] { "llamaserve.v1.Generation", "grpc.health.v1.Health" }));
            Assert.That(file.Name, Is.EqualTo("llamaserve/v1/generation.proto"));
        });
    }

    [Test]
    public async Task Health_serves_once_ready_and_not_while_draining()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny, drainTimeout: TimeSpan.FromSeconds(60));
        Health.HealthClient health = new(server.Channel);
        using AsyncServerStreamingCall<HealthCheckResponse> watch = health.Watch(new HealthCheckRequest { Service = Generation.Descriptor.FullName });
        await Until(watch, HealthCheckResponse.Types.ServingStatus.Serving);
        foreach (string service in new[] { "", "liveness" })
        {
            HealthCheckResponse check = await health.CheckAsync(new HealthCheckRequest { Service = service });
            Assert.That(check.Status, Is.EqualTo(HealthCheckResponse.Types.ServingStatus.Serving), service);
        }
        using AsyncServerStreamingCall<GenerateResponse> running = server.Client.Generate(Requests.Endless());
        await running.ResponseStream.MoveNext();
        Task stop = server.Stop();
        await Until(watch, HealthCheckResponse.Types.ServingStatus.NotServing);
        running.Dispose();
        await stop;
    }

    [Test]
    public async Task Health_does_not_serve_while_loading_but_lives()
    {
        TaskCompletionSource<Hosting.HostedModel> never = new();
        await using TestServer server = await TestServer.Open((_, cancellationToken) => never.Task.WaitAsync(cancellationToken));
        Health.HealthClient health = new(server.Channel);
        HealthCheckResponse ready = await health.CheckAsync(new HealthCheckRequest());
        HealthCheckResponse alive = await health.CheckAsync(new HealthCheckRequest { Service = "liveness" });
        RpcException unknown = Assert.Throws<RpcException>(() => health.Check(new HealthCheckRequest { Service = "other" }))!;
        using HttpResponseMessage readyz = await server.Http.GetAsync("/readyz");
        using HttpResponseMessage healthz = await server.Http.GetAsync("/healthz");
        Assert.Multiple(() =>
        {
            Assert.That(ready.Status, Is.EqualTo(HealthCheckResponse.Types.ServingStatus.NotServing));
            Assert.That(alive.Status, Is.EqualTo(HealthCheckResponse.Types.ServingStatus.Serving));
            Assert.That(unknown.StatusCode, Is.EqualTo(StatusCode.NotFound));
            Assert.That((int)readyz.StatusCode, Is.EqualTo(503));
            Assert.That((int)healthz.StatusCode, Is.EqualTo(200));
        });
    }

    [Test]
    public async Task Metrics_tell_of_requests_steps_blocks_and_pauses()
    {
        await Generate(Requests.Text("abc", 8));
        await Server.WaitUntilIdle();
        string metrics = await Server.Http.GetStringAsync("/metrics");
        Assert.Multiple(() =>
        {
            Assert.That(metrics, Does.Contain("gen_ai_server_time_to_first_token_seconds_bucket"));
            Assert.That(metrics, Does.Contain("llamaserve_requests_finished_total"));
            Assert.That(metrics, Does.Contain("llamaserve_kv_cache_blocks"));
            Assert.That(metrics, Does.Contain("llamaserve_step_host_time_seconds_bucket"));
            Assert.That(metrics, Does.Contain("llamaserve_gc_pause"));
        });
    }

    [Test]
    public async Task The_metrics_port_serves_nothing_else()
    {
        using HttpResponseMessage response = await Server.Http.GetAsync("/llamaserve.v1.Generation/Generate");
        Assert.That((int)response.StatusCode, Is.EqualTo(404));
        Assert.That(await Server.Http.GetStringAsync("/readyz"), Is.EqualTo("ready\n"));
    }

    private static async Task Until(AsyncServerStreamingCall<HealthCheckResponse> watch, HealthCheckResponse.Types.ServingStatus status)
    {
        using CancellationTokenSource timeout = new(TimeSpan.FromMinutes(2));
        do
        {
            await watch.ResponseStream.MoveNext(timeout.Token);
        }
        while (watch.ResponseStream.Current.Status != status);
    }
}
