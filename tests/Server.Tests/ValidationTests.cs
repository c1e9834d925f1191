using Google.Rpc;
using Grpc.Core;
using LlamaServe.Server.Mapping;
using LlamaServe.Server.Tests.Support;
using LlamaServe.Testing;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>Each field's bounds hold, and a value outside them is INVALID_ARGUMENT naming the field.</summary>
public sealed class ValidationTests : TinyServerTests
{
    private static IEnumerable<TestCaseData> WrongFields()
    {
        string tooLong = new('a', 129);
        yield return Case("request_id", r => r.RequestId = tooLong);
        yield return Case("request_id", r => r.RequestId = "a\nb");
        yield return Case("input", r => r.ClearInput());
        yield return Case("text", r => r.Text = "");
        yield return Case("text", r => r.Text = new string('a', 256));
        yield return Case("text", r => r.Text = new string('a', 1 << 20));
        yield return Case("token_ids.ids", r => r.TokenIds = new TokenIds());
        yield return Case("token_ids.ids", r => r.TokenIds = new TokenIds { Ids = { 288 } });
        yield return Case("token_ids.ids", r => r.TokenIds = new TokenIds { Ids = { uint.MaxValue } });
        yield return Case("token_ids.ids", r => r.TokenIds = new TokenIds { Ids = { Enumerable.Repeat(1u, 256) } });
        yield return Case("n", r => r.N = 0);
        yield return Case("n", r => r.N = 17);
        yield return Case("n", r => r.N = uint.MaxValue);
        yield return Case("cache_salt", r => r.CacheSalt = tooLong);
        yield return Case("cache_salt", r => r.CacheSalt = "é");
        yield return Case("priority", r => r.Priority = 101);
        yield return Case("priority", r => r.Priority = int.MinValue);
        yield return Case("sampling.temperature", r => r.Sampling.Temperature = -0.1f);
        yield return Case("sampling.temperature", r => r.Sampling.Temperature = float.NaN);
        yield return Case("sampling.temperature", r => r.Sampling.Temperature = float.PositiveInfinity);
        yield return Case("sampling.top_k", r => r.Sampling.TopK = 289);
        yield return Case("sampling.top_k", r => r.Sampling.TopK = uint.MaxValue);
        yield return Case("sampling.top_p", r => r.Sampling.TopP = 0);
        yield return Case("sampling.top_p", r => r.Sampling.TopP = 1.01f);
        yield return Case("sampling.top_p", r => r.Sampling.TopP = float.NaN);
        yield return Case("sampling.min_p", r => r.Sampling.MinP = -0.1f);
        yield return Case("sampling.min_p", r => r.Sampling.MinP = 1.1f);
        yield return Case("sampling.repetition_penalty", r => r.Sampling.RepetitionPenalty = 0);
        yield return Case("sampling.repetition_penalty", r => r.Sampling.RepetitionPenalty = 10.5f);
        yield return Case("sampling.presence_penalty", r => r.Sampling.PresencePenalty = 2.1f);
        yield return Case("sampling.frequency_penalty", r => r.Sampling.FrequencyPenalty = -2.1f);
        yield return Case("sampling.logit_bias", r => r.Sampling.LogitBias[288] = 1);
        yield return Case("sampling.logit_bias", r => r.Sampling.LogitBias[uint.MaxValue] = 1);
        yield return Case("sampling.logit_bias", r => r.Sampling.LogitBias[1] = 101);
        yield return Case("sampling.logit_bias", r => r.Sampling.LogitBias[1] = float.NaN);
        yield return Case("sampling.logit_bias", r => r.Sampling.LogitBias.Add(Enumerable.Range(0, 1025).ToDictionary(i => (uint)i, _ => 1f)));
        yield return Case("stopping.max_tokens", r => r.Stopping.MaxTokens = 0);
        yield return Case("stopping.max_tokens", r => r.Stopping.MaxTokens = 256);
        yield return Case("stopping.max_tokens", r => r.Stopping.MaxTokens = uint.MaxValue);
        yield return Case("stopping.min_tokens", r => r.Stopping.MinTokens = 5);
        yield return Case("stopping.min_tokens", r => r.Stopping.MinTokens = uint.MaxValue);
        yield return Case("stopping.stop", r => r.Stopping.Stop.Add(""));
        yield return Case("stopping.stop", r => r.Stopping.Stop.Add(new string('a', 257)));
        yield return Case("stopping.stop", r => r.Stopping.Stop.Add(Enumerable.Repeat("a", 17)));
        yield return Case("stopping.stop_token_ids", r => r.Stopping.StopTokenIds.Add(288));
        yield return Case("stopping.stop_token_ids", r => r.Stopping.StopTokenIds.Add(Enumerable.Repeat(1u, 129)));
        yield return Case("response.logprobs", r => r.Response.Logprobs = 21);
        yield return Case("response.prompt_logprobs", r => r.Response.PromptLogprobs = uint.MaxValue);

        static TestCaseData Case(string field, Action<GenerateRequest> change) => new(field, change);
    }

    [TestCaseSource(nameof(WrongFields))]
    public async Task A_wrong_value_is_an_invalid_argument_that_names_its_field(string field, Action<GenerateRequest> change)
    {
        GenerateRequest request = Requests.Text("abc", 4);
        request.Response = new ResponseOptions();
        change(request);
        StreamResult result = await Generate(request);
        AssertViolation(result.Failure, field);
        Assert.That(Server.Engine.GetStatistics().RequestsInFlight, Is.Zero);
    }

    [Test]
    public async Task A_wrong_tenant_names_its_header()
    {
        Metadata tooLong = new() { { FieldPaths.TenantHeader, new string('a', 129) } };
        AssertViolation((await StreamResult.Read(Server.Client.Generate(Requests.Text("abc", 2), tooLong))).Failure, FieldPaths.TenantHeader);
    }

    [Test]
    public async Task A_tenant_given_twice_is_refused()
    {
        Metadata twice = new() { { FieldPaths.TenantHeader, "a" }, { FieldPaths.TenantHeader, "b" } };
        AssertViolation((await StreamResult.Read(Server.Client.Generate(Requests.Text("abc", 2), twice))).Failure, FieldPaths.TenantHeader);
    }

    [Test]
    public async Task An_added_token_that_the_model_has_no_row_for_is_refused_where_it_stands()
    {
        await using TestServer server = await TestServer.StartTiny(model: TinyModel.Llama31 with { VocabularySize = 257 });
        GenerateRequest text = Requests.Text("a<|end|>", 2);
        StreamResult asText = await StreamResult.Read(server.Client.Generate(text));
        text.Tokenization = new TokenizationOptions { ParseSpecialTokens = true };
        StreamResult parsed = await StreamResult.Read(server.Client.Generate(text));
        StreamResult asId = await StreamResult.Read(server.Client.Generate(
            Requests.Apply(Requests.Text("", 2), r => r.TokenIds = new TokenIds { Ids = { 257 } })));
        StreamResult withRow = await StreamResult.Read(server.Client.Generate(
            Requests.Apply(Requests.Text("", 2), r => r.TokenIds = new TokenIds { Ids = { 256 } })));
        AssertViolation(parsed.Failure, "text");
        AssertViolation(asId.Failure, "token_ids.ids");
        Assert.That((asText.Status, withRow.Status), Is.EqualTo((StatusCode.OK, StatusCode.OK)));
    }

    [Test]
    public void Tokenize_and_detokenize_check_their_sizes()
    {
        RpcException tooLong = Assert.Throws<RpcException>(
            () => Server.Client.Tokenize(new TokenizeRequest { Text = new string('a', Server.Model.MaxTextBytes + 1) }))!;
        RpcException beyond = Assert.Throws<RpcException>(() => Server.Client.Detokenize(new DetokenizeRequest { TokenIds = { 288 } }))!;
        RpcException many = Assert.Throws<RpcException>(
            () => Server.Client.Detokenize(new DetokenizeRequest { TokenIds = { Enumerable.Repeat(1u, 257) } }))!;
        AssertViolation(tooLong, "text");
        AssertViolation(beyond, "token_ids");
        AssertViolation(many, "token_ids");
    }

    [Test]
    public async Task A_message_beyond_the_size_limit_is_refused_before_it_is_read()
    {
        StreamResult result = await Generate(Requests.Text(new string('a', 5 << 20), 2));
        Assert.That(result.Status, Is.EqualTo(StatusCode.ResourceExhausted));
    }

    [Test]
    public async Task The_largest_legal_values_are_taken()
    {
        GenerateRequest request = new()
        {
            RequestId = new string('a', 128),
            Text = "abc",
            N = 16,
            CacheSalt = new string('~', 128),
            Priority = 100,
            Sampling = new SamplingOptions
            {
                Temperature = 100,
                TopK = 288,
                TopP = 1,
                MinP = 0,
                RepetitionPenalty = 10,
                PresencePenalty = 2,
                FrequencyPenalty = -2,
                LogitBias = { [287] = 100, [0] = -100 },
                Seed = ulong.MaxValue,
            },
            Stopping = new StoppingOptions { MaxTokens = 8, MinTokens = 8, Stop = { Enumerable.Repeat(new string('a', 256), 16) }, StopTokenIds = { 287 } },
            Response = new ResponseOptions { Logprobs = 20, PromptLogprobs = 20 },
        };
        StreamResult result = await Generate(request);
        Assert.That(result.Status, Is.EqualTo(StatusCode.OK), result.Failure?.Message);
    }

    private static void AssertViolation(RpcException? failure, string field)
    {
        Assert.That(failure?.StatusCode, Is.EqualTo(StatusCode.InvalidArgument));
        BadRequest? details = failure!.GetRpcStatus()?.GetDetail<BadRequest>();
        Assert.That(details?.FieldViolations.Single().Field, Is.EqualTo(field), failure.Message);
    }
}
