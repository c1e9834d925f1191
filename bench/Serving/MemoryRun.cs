using System.Globalization;
using Grpc.Core;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.V1;

namespace LlamaServe.Bench.Serving;

/// <summary>One server that loads a model, then holds as many tokens at a time as its KV cache can.</summary>
/// <param name="sequences">Requests in flight; together they need more blocks than there are.</param>
internal sealed class MemoryRun(string program, LlamaShape shape, string modelPath, double kvCacheGigabytes, int sequences)
{
    private const int NewTokens = 16;

    public async Task<MemoryResult> MeasureAsync(WeightFormat format, CancellationToken cancellationToken)
    {
        string gigabytes = kvCacheGigabytes.ToString(CultureInfo.InvariantCulture);
        using PublishedServer server = await PublishedServer.StartAsync(
            program, ["--model", modelPath, "--kv-cache-gb", gigabytes], cancellationToken);
        long loaded = server.PeakBytes;
        GetModelInfoResponse info = await server.Client.GetModelInfoAsync(new GetModelInfoRequest(), cancellationToken: cancellationToken);
        int tokens = (int)info.KvCacheTokens;
        await FillAsync(server.Client, tokens, cancellationToken);
        KvCacheShape cache = new(shape.Layers, Blocks: tokens, BlockSize: 1, shape.KvHeads, shape.HeadSize, DType.BF16);
        long weights = new RandomLlama(shape, format, BenchModel.DefaultSeed).ByteCount;
        return new MemoryResult(format, sequences, tokens, weights, cache.ByteLength, loaded, server.PeakBytes);
    }

    private Task FillAsync(Generation.GenerationClient client, int tokens, CancellationToken cancellationToken)
    {
        Random random = new(1);
        int promptTokens = Math.Max(1, tokens / sequences + 1 - NewTokens);
        GenerateRequest[] requests = [.. Enumerable.Range(0, sequences).Select(_ => Request(random, promptTokens))];
        return Task.WhenAll(requests.Select(request => ReadAsync(client, request, cancellationToken)));
    }

    private GenerateRequest Request(Random random, int promptTokens)
    {
        GenerateRequest request = new()
        {
            TokenIds = new TokenIds(),
            Stopping = new StoppingOptions { MaxTokens = NewTokens, IgnoreEos = true },
        };
        for (int i = 0; i < promptTokens; i++)
        {
            request.TokenIds.Ids.Add((uint)random.Next(FillerVocabulary.FirstFiller, shape.Vocabulary));
        }

        return request;
    }

    private static async Task ReadAsync(Generation.GenerationClient client, GenerateRequest request, CancellationToken cancellationToken)
    {
        using AsyncServerStreamingCall<GenerateResponse> call = client.Generate(request, cancellationToken: cancellationToken);
        uint completed = 0;
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            completed = response.Usage?.CompletionTokens ?? completed;
        }

        if (completed != NewTokens)
        {
            throw new InvalidOperationException($"A request ended with {completed} of {NewTokens} tokens.");
        }
    }
}
