using System.Text.Json;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>
/// Requests in a file, one JSON object a line: <c>timestamp</c>, <c>input_length</c>, <c>output_length</c> and, where prompts share
/// beginnings, <c>hash_ids</c>; other fields are skipped. The format of Mooncake's traces (github.com/kvcache-ai/Mooncake).
/// </summary>
/// <param name="Unit">Seconds of a timestamp's unit.</param>
/// <param name="BlockTokens">Tokens for which a hash id stands.</param>
internal sealed record TraceFile(string Path, double Unit, int BlockTokens)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>Reads it; prompts are made one at a time, as they are asked for.</summary>
    /// <param name="most">So many of the first requests.</param>
    /// <exception cref="ArgumentException">A line is no request, or there is none.</exception>
    public Trace Read(int most, int seed)
    {
        TracedRequest[] requests = [.. Lines().OrderBy(request => request.Timestamp).Take(most)];
        if (requests.Length == 0)
        {
            throw new ArgumentException($"{Path} has no requests");
        }

        TokenSource ids = new(TracedRequest.Vocabulary, 2 * TracedRequest.Vocabulary, seed);
        return new Trace(
            requests.Select(request => request.ToConversation(BlockTokens, ids)),
            [.. requests.Select(request => Unit * (request.Timestamp - requests[0].Timestamp))]);
    }

    private IEnumerable<TracedRequest> Lines()
    {
        int number = 0;
        foreach (string line in File.ReadLines(Path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
            {
                yield return Parse(line, number);
            }
        }
    }

    private TracedRequest Parse(string line, int number)
    {
        try
        {
            TracedRequest? request = JsonSerializer.Deserialize<TracedRequest>(line, Options);
            string? fault = request is null ? "there is no request" : request.Fault(BlockTokens);
            return fault is null ? request! : throw new ArgumentException($"{Path}, line {number}: {fault}");
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{Path}, line {number} is no request: {exception.Message}");
        }
    }
}
