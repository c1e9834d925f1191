using Google.Rpc;
using Grpc.Core;
using LlamaServe.Engine;
using LlamaServe.Server.Tests.Support;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>Failures that need a server in some state.</summary>
public sealed class FailureTests
{
    [Test]
    public async Task Another_models_name_is_not_found_in_every_call()
    {
        await using TestServer server = await TestServer.StartTiny();
        StreamResult result = await StreamResult.Read(server.Client.Generate(Requests.Apply(Requests.Text("a", 1), r => r.Model = "other")));
        Assert.Multiple(() =>
        {
            Assert.That(result.Status, Is.EqualTo(StatusCode.NotFound));
            Assert.That(StatusOf(() => server.Client.Tokenize(new TokenizeRequest { Model = "other" })), Is.EqualTo(StatusCode.NotFound));
            Assert.That(StatusOf(() => server.Client.Detokenize(new DetokenizeRequest { Model = "other" })), Is.EqualTo(StatusCode.NotFound));
            Assert.That(StatusOf(() => server.Client.GetModelInfo(new GetModelInfoRequest { Model = "other" })), Is.EqualTo(StatusCode.NotFound));
        });
    }

    [Test]
    public async Task An_id_in_flight_and_a_full_queue_are_refused()
    {
        await using TestServer server = await TestServer.StartTiny(TestServer.SmallEngine() with { MaxRequests = 2 }, TestServer.LongTiny);
        using AsyncServerStreamingCall<GenerateResponse> one = server.Client.Generate(Requests.Endless("one"));
        await one.ResponseStream.MoveNext();
        StreamResult same = await StreamResult.Read(server.Client.Generate(Requests.Endless("one")));
        using AsyncServerStreamingCall<GenerateResponse> two = server.Client.Generate(Requests.Endless("two"));
        await two.ResponseStream.MoveNext();
        StreamResult other = await StreamResult.Read(server.Client.Generate(Requests.Endless("three")));
        Assert.Multiple(() =>
        {
            Assert.That(same.Status, Is.EqualTo(StatusCode.AlreadyExists));
            Assert.That(other.Status, Is.EqualTo(StatusCode.ResourceExhausted));
            Assert.That(other.Failure!.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan(), Is.GreaterThan(TimeSpan.Zero));
        });
    }

    [Test]
    public async Task A_deadline_ends_the_request_in_the_engine_too()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny);
        StreamResult result = await StreamResult.Read(server.Client.Generate(Requests.Endless(), deadline: DateTime.UtcNow.AddMilliseconds(200)));
        Assert.That(result.Status, Is.EqualTo(StatusCode.DeadlineExceeded));
        await server.WaitUntilIdle();
    }

    [Test]
    public async Task Cancelling_frees_the_blocks()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny);
        using CancellationTokenSource cancel = new();
        Task<StreamResult> stream = StreamResult.Read(
            server.Client.Generate(Requests.Endless(), cancellationToken: cancel.Token), _ => cancel.Cancel());
        Assert.That((await stream).Status, Is.EqualTo(StatusCode.Cancelled));
        await server.WaitUntilIdle();
    }

    [Test]
    public async Task A_storm_of_cancelled_calls_leaves_nothing_behind()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny);
        await Parallel.ForAsync(0, 1000, async (i, _) =>
        {
            using CancellationTokenSource cancel = new();
            Task<StreamResult> stream = StreamResult.Read(server.Client.Generate(Requests.Endless(), cancellationToken: cancel.Token));
            cancel.CancelAfter(TimeSpan.FromMilliseconds(i % 7));
            await stream;
        });
        await server.WaitUntilIdle();
        StreamResult other = await StreamResult.Read(server.Client.Generate(Requests.Text("abc", 4)));
        Assert.That(other.Status, Is.EqualTo(StatusCode.OK));
    }

    [Test]
    public async Task A_client_that_does_not_read_is_ended_and_others_on_its_connection_go_on()
    {
        EngineOptions engine = TestServer.SmallEngine() with { TokenBuffer = 64, SlowReaderTimeout = TimeSpan.FromMilliseconds(300) };
        await using TestServer server = await TestServer.StartTiny(engine, TestServer.LongTiny);
        // Log-probabilities make the messages large enough to fill the connection's windows soon.
        GenerateRequest request = Requests.Apply(Requests.Endless(), r => r.Response.Logprobs = 20);
        using AsyncServerStreamingCall<GenerateResponse> unread = server.Client.Generate(request);
        await unread.ResponseHeadersAsync;
        for (int i = 0; i < 2400 && server.Engine.GetStatistics().RequestsInFlight > 0; i++)
        {
            await Task.Delay(50);
        }
        await server.WaitUntilIdle();
        StreamResult other = await StreamResult.Read(server.Client.Generate(Requests.Text("abc", 4)));
        Assert.That(other.Status, Is.EqualTo(StatusCode.OK));
    }

    [Test]
    public async Task While_the_model_loads_every_call_is_unavailable()
    {
        TaskCompletionSource<Hosting.HostedModel> never = new();
        await using TestServer server = await TestServer.Open((_, cancellationToken) => never.Task.WaitAsync(cancellationToken));
        StreamResult result = await StreamResult.Read(server.Client.Generate(Requests.Text("a", 1)));
        Assert.Multiple(() =>
        {
            Assert.That(result.Status, Is.EqualTo(StatusCode.Unavailable));
            Assert.That(result.Failure!.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason, Is.EqualTo("LOADING"));
            Assert.That(StatusOf(() => server.Client.GetModelInfo(new GetModelInfoRequest())), Is.EqualTo(StatusCode.Unavailable));
        });
    }

    [Test]
    public async Task Draining_refuses_new_requests_and_finishes_running_ones()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny, drainTimeout: TimeSpan.FromSeconds(60));
        GenerateRequest request = Requests.Apply(Requests.Endless(), r => r.Stopping.MaxTokens = 3000);
        using AsyncServerStreamingCall<GenerateResponse> call = server.Client.Generate(request);
        await call.ResponseStream.MoveNext();
        Task stop = server.Stop();
        await WaitFor(() => server.Host.IsDraining);
        StreamResult refused = await StreamResult.Read(server.Client.Generate(Requests.Text("a", 1)));
        StreamResult finished = await StreamResult.Read(call);
        await stop;
        Assert.Multiple(() =>
        {
            Assert.That(refused.Status, Is.EqualTo(StatusCode.Unavailable));
            Assert.That(finished.Status, Is.EqualTo(StatusCode.OK));
            Assert.That(finished.Usage.CompletionTokens, Is.EqualTo(3000));
        });
    }

    [Test]
    public async Task Requests_that_outlast_the_drain_are_unavailable()
    {
        await using TestServer server = await TestServer.StartTiny(model: TestServer.LongTiny, drainTimeout: TimeSpan.FromMilliseconds(100));
        using AsyncServerStreamingCall<GenerateResponse> call = server.Client.Generate(Requests.Endless());
        await call.ResponseStream.MoveNext();
        Task stop = server.Stop();
        StreamResult ended = await StreamResult.Read(call);
        await stop;
        Assert.That(ended.Status, Is.EqualTo(StatusCode.Unavailable));
        Assert.That(ended.Failure!.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason, Is.EqualTo("DRAINING"));
    }

    [Test]
    public async Task An_engine_that_fails_for_good_stops_the_server()
    {
        // Any step over a thousand tokens takes longer than this, and no restart is allowed.
        EngineOptions engine = TestServer.SmallEngine() with { TokenBudget = 4096, StepTimeTarget = TimeSpan.Zero, StepTimeout = TimeSpan.FromMilliseconds(10), MaxRestarts = 0 };
        await using TestServer server = await TestServer.StartTiny(engine, TestServer.LongTiny);
        StreamResult result = await StreamResult.Read(server.Client.Generate(Requests.Text(new string('a', 20000), 10)));
        await server.Stopping;
        await server.Stop();
        Assert.That(result.Status, Is.EqualTo(StatusCode.Internal).Or.EqualTo(StatusCode.Unavailable));
        Assert.That(server.Host.HasFailed);
    }

    private static StatusCode StatusOf(Func<object> call) => Assert.Throws<RpcException>(() => call())!.StatusCode;

    private static async Task WaitFor(Func<bool> condition)
    {
        for (int i = 0; i < 6000 && !condition(); i++)
        {
            await Task.Delay(10);
        }
        Assert.That(condition());
    }
}
