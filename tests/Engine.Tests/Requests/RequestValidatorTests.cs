using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Requests;

public class RequestValidatorTests
{
    private static readonly ServingLimits Limits = new()
    {
        VocabularySize = 1000,
        ContextLength = 200,
        KvCacheTokens = 160,
        MaxSamples = 4,
        TokenBuffer = 256,
        MaxHostBytes = 1 << 20,
    };

    private static readonly RequestValidator Validator = new(Limits);

    private static IEnumerable<TestCaseData> Legal()
    {
        GenerationRequest request = EngineHarness.Request();
        yield return Case("plain", request);
        yield return Case("greedy", request with { Sampling = SamplingParameters.Greedy });
        yield return Case("longest", request with { MaxTokens = 151 });
        yield return Case("open end", request with { MaxTokens = null });
        yield return Case("all set", request with
        {
            RequestId = "a-b:c/1",
            Samples = 4,
            MinTokens = 10,
            StopStrings = [new string('x', 256), "é\U0001F600"],
            StopTokenIds = [0, 999],
            LogProbs = 20,
            PromptLogProbs = 20,
            Tenant = "tenant",
            CacheSalt = "salt",
            Priority = -100,
            Sampling = new SamplingParameters
            {
                Temperature = 100,
                TopK = 1000,
                TopP = 0.01f,
                MinP = 1,
                RepetitionPenalty = 10,
                PresencePenalty = -2,
                FrequencyPenalty = 2,
                LogitBias = new Dictionary<int, float> { [0] = -100, [999] = 100 },
            },
        });
    }

    private static IEnumerable<TestCaseData> Illegal()
    {
        GenerationRequest request = EngineHarness.Request();
        yield return Bad("PromptTokenIds", request with { PromptTokenIds = Array.Empty<int>() });
        yield return Bad("PromptTokenIds", request with { PromptTokenIds = EngineHarness.Prompt(200) });
        yield return Bad("PromptTokenIds", request with { PromptTokenIds = EngineHarness.Prompt(180), MaxTokens = null }, "no room in the cache");
        yield return Bad("PromptTokenIds", request with { PromptTokenIds = new[] { 1, 1000 } });
        yield return Bad("PromptTokenIds", request with { PromptTokenIds = new[] { 1, -1 } });
        yield return Bad("MaxTokens", request with { MaxTokens = 0 });
        yield return Bad("MaxTokens", request with { MaxTokens = -5 });
        yield return Bad("MaxTokens", request with { MaxTokens = 191 }, "beyond the context");
        yield return Bad("MaxTokens", request with { MaxTokens = 152 }, "beyond the cache");
        yield return Bad("MaxTokens", request with { PromptTokenIds = EngineHarness.Prompt(100), MaxTokens = int.MaxValue });
        yield return Bad("MinTokens", request with { MinTokens = 11 });
        yield return Bad("MinTokens", request with { MinTokens = -1 });
        yield return Bad("MinTokens", request with { MaxTokens = null, MinTokens = 160 });
        yield return Bad("Samples", request with { Samples = 0 });
        yield return Bad("Samples", request with { Samples = 5 });
        yield return Bad("StopStrings", request with { StopStrings = [""] });
        yield return Bad("StopStrings", request with { StopStrings = [null!] });
        yield return Bad("StopStrings", request with { StopStrings = null! });
        yield return Bad("StopStrings", request with { StopStrings = [new string('x', 257)] });
        yield return Bad("StopStrings", request with { StopStrings = ["a\ud800b"] }, "lone surrogate");
        yield return Bad("StopStrings", request with { StopStrings = ["\udc00"] }, "low surrogate");
        yield return Bad("StopStrings", request with { StopStrings = [.. Enumerable.Repeat("x", 17)] });
        yield return Bad("StopTokenIds", request with { StopTokenIds = [1000] });
        yield return Bad("StopTokenIds", request with { StopTokenIds = null! });
        yield return Bad("StopTokenIds", request with { StopTokenIds = [.. Enumerable.Repeat(1, 129)] });
        yield return Bad("LogProbs", request with { LogProbs = 21 });
        yield return Bad("LogProbs", request with { LogProbs = -1 });
        yield return Bad("PromptLogProbs", request with { PromptLogProbs = 21 });
        yield return Bad("Priority", request with { Priority = 101 });
        yield return Bad("RequestId", request with { RequestId = new string('x', 129) });
        yield return Bad("RequestId", request with { RequestId = "a\nb" });
        yield return Bad("Tenant", request with { Tenant = "é" });
        yield return Bad("Tenant", request with { Tenant = null! });
        yield return Bad("CacheSalt", request with { CacheSalt = "\0" });
        yield return Bad("Sampling", request with { Sampling = null! });
        foreach (float nonsense in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            yield return Bad("Temperature", request with { Sampling = new() { Temperature = nonsense } });
            yield return Bad("TopP", request with { Sampling = new() { TopP = nonsense } });
            yield return Bad("MinP", request with { Sampling = new() { MinP = nonsense } });
            yield return Bad("RepetitionPenalty", request with { Sampling = new() { RepetitionPenalty = nonsense } });
            yield return Bad("PresencePenalty", request with { Sampling = new() { PresencePenalty = nonsense } });
            yield return Bad("FrequencyPenalty", request with { Sampling = new() { FrequencyPenalty = nonsense } });
            yield return Bad("LogitBias", request with { Sampling = new() { LogitBias = new Dictionary<int, float> { [1] = nonsense } } });
        }
        yield return Bad("Temperature", request with { Sampling = new() { Temperature = -0.1f } });
        yield return Bad("TopP", request with { Sampling = new() { TopP = 0 } });
        yield return Bad("TopK", request with { Sampling = new() { TopK = -1 } });
        yield return Bad("TopK", request with { Sampling = new() { TopK = 1001 } });
        yield return Bad("RepetitionPenalty", request with { Sampling = new() { RepetitionPenalty = 0 } });
        yield return Bad("LogitBias", request with { Sampling = new() { LogitBias = new Dictionary<int, float> { [1000] = 1 } } });
        yield return Bad("LogitBias", request with { Sampling = new() { LogitBias = Enumerable.Range(0, 1025).ToDictionary(i => i % 2000, _ => 1f) } });
    }

    [TestCaseSource(nameof(Legal))]
    public void Takes(GenerationRequest request) => Assert.That(Validator.Validate(request), Is.Null);

    [TestCaseSource(nameof(Illegal))]
    public void Refuses(string field, GenerationRequest request)
    {
        Rejection? rejection = Validator.Validate(request);
        Assert.That(rejection, Is.Not.Null);
        Assert.That((rejection!.Reason, rejection.Field), Is.EqualTo((RejectionReason.InvalidRequest, field)));
        Assert.That(rejection.Message, Does.StartWith(field));
    }

    [Test]
    public void Log_probabilities_and_samples_count_towards_the_memory_of_a_request()
    {
        GenerationRequest request = EngineHarness.Request(newTokens: 100) with { LogProbs = 20, Samples = 4 };
        var tight = new RequestValidator(Limits with { MaxHostBytes = 60_000 });
        Assert.That(tight.Validate(request)?.Field, Is.EqualTo("MaxTokens"));
        Assert.That(tight.Validate(request with { Samples = 2 }), Is.Null);
        Assert.That(tight.Validate(request with { LogProbs = 0 }), Is.Null);
    }

    [Test]
    public void A_huge_request_is_refused_without_reading_it_all()
    {
        GenerationRequest request = EngineHarness.Request() with { PromptTokenIds = new int[50_000_000] };
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(Validator.Validate(request)!.Field, Is.EqualTo("PromptTokenIds"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(10_000));
    }

    [Test]
    public void Random_requests_are_taken_or_refused_but_never_throw()
    {
        var random = new Random(3);
        for (int i = 0; i < 20_000; i++)
        {
            GenerationRequest request = Random(random);
            Rejection? rejection = Validator.Validate(request);
            if (rejection is null)
            {
                int tokens = Limits.MaxTokens(request);
                Assert.That(request.PromptTokenIds.Length + tokens - 1, Is.LessThanOrEqualTo(Limits.KvCacheTokens));
                Assert.That(tokens, Is.GreaterThanOrEqualTo(Math.Max(1, request.MinTokens)));
            }
        }
    }

    private static GenerationRequest Random(Random random) => EngineHarness.Request(prompt: random.Next(0, 210)) with
    {
        MaxTokens = random.Next(3) == 0 ? null : Extreme(random),
        MinTokens = Extreme(random),
        Samples = random.Next(3) == 0 ? Extreme(random) : 1,
        LogProbs = random.Next(2) == 0 ? null : Extreme(random),
        PromptLogProbs = random.Next(2) == 0 ? null : Extreme(random),
        Sampling = new SamplingParameters { Temperature = BitConverter.Int32BitsToSingle(random.Next()), TopK = Extreme(random) },
    };

    private static int Extreme(Random random) => random.Next(6) switch
    {
        0 => int.MinValue,
        1 => int.MaxValue,
        2 => -1,
        3 => 0,
        _ => random.Next(1, 160),
    };

    private static TestCaseData Case(string name, GenerationRequest request) => new TestCaseData(request).SetArgDisplayNames(name);

    private static TestCaseData Bad(string field, GenerationRequest request, string? detail = null) =>
        new TestCaseData(field, request).SetArgDisplayNames(detail is null ? field : $"{field}: {detail}");
}
