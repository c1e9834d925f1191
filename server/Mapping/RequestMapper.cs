using System.Text;
using Grpc.Core;
using LlamaServe.Engine.Requests;
using LlamaServe.Server.Hosting;
using LlamaServe.V1;
using Microsoft.Extensions.Primitives;

namespace LlamaServe.Server.Mapping;

/// <summary>
/// The wire's requests in the engine's words. Checks only what the engine cannot see: presence, the size of a text before it is
/// tokenised, and headers. Everything else is the engine's validator's, whatever front end a request came through.
/// </summary>
internal static class RequestMapper
{
    /// <exception cref="RpcException">INVALID_ARGUMENT, naming the field.</exception>
    public static GenerationRequest ToEngine(GenerateRequest request, HostedModel model, ServerCallContext context) => new()
    {
        RequestId = request.RequestId,
        PromptTokenIds = Prompt(request, model),
        Sampling = Sampling(request.Sampling ?? new SamplingOptions(), model.DefaultSampling),
        Samples = request.HasN ? Clamp(request.N) : 1,
        MaxTokens = request.Stopping is { HasMaxTokens: true } stopping ? Clamp(stopping.MaxTokens) : null,
        MinTokens = Clamp(request.Stopping?.MinTokens ?? 0),
        StopStrings = request.Stopping?.Stop ?? [],
        StopTokenIds = Ids(request.Stopping?.StopTokenIds ?? []),
        IgnoreEos = request.Stopping?.IgnoreEos ?? false,
        IncludeStop = request.Stopping?.IncludeStop ?? false,
        ReturnText = request.Response is not { HasText: true, Text: false },
        LogProbs = request.Response is { HasLogprobs: true } response ? Clamp(response.Logprobs) : null,
        PromptLogProbs = request.Response is { HasPromptLogprobs: true } options ? Clamp(options.PromptLogprobs) : null,
        Tenant = Tenant(context),
        CacheSalt = request.CacheSalt,
        Priority = request.Priority,
        Deadline = context.Deadline == DateTime.MaxValue ? null : new DateTimeOffset(context.Deadline),
    };

    /// <summary>Tokenises a text of bounded size.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT: it is too long.</exception>
    public static List<int> Tokenize(string text, TokenizationOptions? options, HostedModel model)
    {
        if (Encoding.UTF8.GetByteCount(text) > model.MaxTextBytes)
        {
            throw StatusTable.InvalidField("text", $"The text is longer than {model.MaxTextBytes} bytes.");
        }
        bool addSpecialTokens = options is not { HasAddSpecialTokens: true } || options.AddSpecialTokens;
        return model.Tokenizer.Encode(text, addSpecialTokens, options?.ParseSpecialTokens ?? false);
    }

    /// <summary>Ids that can be detokenised.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT: too many, or beyond the vocabulary.</exception>
    public static int[] Detokenizable(DetokenizeRequest request, HostedModel model)
    {
        if (request.TokenIds.Count > model.Limits.ContextLength)
        {
            throw StatusTable.InvalidField("token_ids", $"There are more than {model.Limits.ContextLength} ids.");
        }
        int[] ids = Ids(request.TokenIds);
        return ids.AsSpan().IndexOfAnyExceptInRange(0, model.Limits.VocabularySize - 1) < 0
            ? ids
            : throw StatusTable.InvalidField("token_ids", $"An id is not below the vocabulary size {model.Limits.VocabularySize}.");
    }

    /// <summary>Ids as the engine has them; one beyond the range of int comes out negative, which no vocabulary holds.</summary>
    public static int[] Ids(IReadOnlyList<uint> ids)
    {
        int[] mapped = ids.Count == 0 ? [] : new int[ids.Count];
        for (int i = 0; i < mapped.Length; i++)
        {
            mapped[i] = unchecked((int)ids[i]);
        }
        return mapped;
    }

    private static ReadOnlyMemory<int> Prompt(GenerateRequest request, HostedModel model) => request.InputCase switch
    {
        GenerateRequest.InputOneofCase.TokenIds => Ids(request.TokenIds.Ids),
        GenerateRequest.InputOneofCase.Text => Tokenize(request.Text, request.Tokenization, model).ToArray(),
        _ => throw StatusTable.InvalidField("input", "The request has neither text nor token ids."),
    };

    private static SamplingParameters Sampling(SamplingOptions sampling, SamplingParameters defaults) => defaults with
    {
        Temperature = sampling.HasTemperature ? sampling.Temperature : defaults.Temperature,
        TopK = sampling.HasTopK ? Clamp(sampling.TopK) : defaults.TopK,
        TopP = sampling.HasTopP ? sampling.TopP : defaults.TopP,
        MinP = sampling.HasMinP ? sampling.MinP : defaults.MinP,
        RepetitionPenalty = sampling.HasRepetitionPenalty ? sampling.RepetitionPenalty : defaults.RepetitionPenalty,
        PresencePenalty = sampling.PresencePenalty,
        FrequencyPenalty = sampling.FrequencyPenalty,
        LogitBias = sampling.LogitBias.Count == 0
            ? null
            : sampling.LogitBias.ToDictionary(entry => unchecked((int)entry.Key), entry => entry.Value),
        Seed = sampling.HasSeed ? sampling.Seed : null,
    };

    // Read from the HTTP request: the metadata collection would be built of every header just for this one.
    private static string Tenant(ServerCallContext context)
    {
        // Transports join repeated headers with commas.
        StringValues values = context.GetHttpContext().Request.Headers[FieldPaths.TenantHeader];
        string tenant = values.ToString();
        return values.Count <= 1 && !tenant.Contains(',')
            ? tenant
            : throw StatusTable.InvalidField(FieldPaths.TenantHeader, "The header is given more than once.");
    }

    // Bounds are far below int.MaxValue, so a value beyond it stays out of bounds.
    private static int Clamp(uint value) => (int)Math.Min(value, int.MaxValue);
}
