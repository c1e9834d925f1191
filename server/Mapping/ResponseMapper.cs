using System.Reflection;
using LlamaServe.Engine.Requests;
using LlamaServe.Server.Hosting;
using LlamaServe.V1;
using Generation = LlamaServe.Engine.Requests.Generation;
using PromptInfo = LlamaServe.V1.PromptInfo;
using TokenLogProb = LlamaServe.V1.TokenLogProb;

namespace LlamaServe.Server.Mapping;

/// <summary>The engine's answers in the wire's words.</summary>
internal static class ResponseMapper
{
    private static readonly string Version =
        typeof(ResponseMapper).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    public static PromptInfo Prompt(Generation generation, Engine.Requests.PromptInfo prompt, string model)
    {
        PromptInfo info = new()
        {
            RequestId = generation.RequestId,
            Model = model,
            PromptTokens = (uint)prompt.PromptTokens,
            CachedTokens = (uint)prompt.CachedTokens,
            Seed = generation.Seed,
        };
        foreach (PromptTokenLogProb token in prompt.LogProbs ?? [])
        {
            info.Logprobs.Add(LogProb(token.TokenId, token.LogProb, token.Top));
        }
        return info;
    }

    public static TokenLogProb LogProb(int tokenId, float logProb, Engine.Requests.TokenLogProb[]? top)
    {
        TokenLogProb mapped = new() { TokenId = (uint)tokenId };
        if (!float.IsNaN(logProb))
        {
            mapped.Logprob = logProb;
        }
        foreach (Engine.Requests.TokenLogProb candidate in top ?? [])
        {
            mapped.Top.Add(new Candidate { TokenId = (uint)candidate.TokenId, Logprob = candidate.LogProb });
        }
        return mapped;
    }

    public static Usage Usage(GenerationSummary summary) => new()
    {
        PromptTokens = (uint)summary.PromptTokens,
        CachedTokens = (uint)summary.CachedTokens,
        CompletionTokens = (uint)summary.CompletionTokens,
    };

    /// <param name="summary">The request's end.</param>
    /// <param name="samples">Samples that decoded side by side.</param>
    public static Timings Timings(GenerationSummary summary, int samples)
    {
        GenerationTimings timings = summary.Timings;
        double intervals = ((double)summary.CompletionTokens / samples) - 1;
        double decode = timings.Decode.TotalMilliseconds;
        return new Timings
        {
            QueueMs = timings.Queue.TotalMilliseconds,
            PrefillMs = timings.Prefill.TotalMilliseconds,
            TimeToFirstTokenMs = timings.TimeToFirstToken.TotalMilliseconds,
            DecodeMs = decode,
            TimePerTokenMs = intervals > 0 ? decode / intervals : 0,
            Preemptions = (uint)timings.Preemptions,
        };
    }

    public static GetModelInfoResponse ModelInfo(HostedModel model)
    {
        SamplingParameters sampling = model.DefaultSampling;
        GetModelInfoResponse info = new()
        {
            Name = model.Name,
            Architecture = model.Config.Architecture.ToString(),
            VocabularySize = (uint)model.Config.VocabularySize,
            MaxContextLength = (uint)model.Limits.ContextLength,
            EosTokenIds = { model.Defaults.EosTokenIds.Select(id => (uint)id) },
            DefaultSampling = new SamplingOptions
            {
                Temperature = sampling.Temperature,
                TopK = (uint)sampling.TopK,
                TopP = sampling.TopP,
                MinP = sampling.MinP,
                RepetitionPenalty = sampling.RepetitionPenalty,
            },
            MaxTextBytes = (uint)model.MaxTextBytes,
            MaxSamples = (uint)model.Limits.MaxSamples,
            MaxLogprobs = ServingLimits.MaxTopLogProbs,
            KvCacheTokens = (ulong)model.Limits.KvCacheTokens,
            Device = model.Device,
            Version = Version,
        };
        if (model.Defaults.BosTokenId is { } bos)
        {
            info.BosTokenId = (uint)bos;
        }
        return info;
    }
}
