using System.Globalization;

namespace LlamaServe.Bench.Load;

/// <summary>What a request has to keep to count as good (goodput, arXiv:2401.09670); null where nothing is asked.</summary>
/// <param name="TimeToFirstToken">Seconds.</param>
/// <param name="TimePerToken">Seconds, the mean of the tokens after the first.</param>
/// <param name="Latency">Seconds to the end.</param>
internal sealed record ServiceLevel(double? TimeToFirstToken, double? TimePerToken, double? Latency)
{
    /// <summary>Reads <c>ttft:500 tpot:50 e2el:10000</c>, in milliseconds, any of them.</summary>
    /// <exception cref="ArgumentException">A part is unknown or no number.</exception>
    public static ServiceLevel? Parse(IReadOnlyCollection<string> parts)
    {
        Dictionary<string, double> seconds = [];
        foreach (string part in parts)
        {
            string[] pair = part.Split(':');
            bool isKnown = pair.Length == 2 && pair[0] is "ttft" or "tpot" or "e2el";
            if (!isKnown || !double.TryParse(pair[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double milliseconds) || !(milliseconds > 0))
            {
                throw new ArgumentException($"\"{part}\" is no goal: ttft:MS, tpot:MS or e2el:MS are.");
            }

            seconds[pair[0]] = milliseconds / 1000;
        }

        return seconds.Count == 0 ? null : new ServiceLevel(Get("ttft"), Get("tpot"), Get("e2el"));

        double? Get(string name) => seconds.TryGetValue(name, out double value) ? value : null;
    }

    public bool Holds(RequestRecord record) =>
        record.IsComplete
        && !(record.TimeToFirstToken > TimeToFirstToken)
        && !(record.TimePerToken > TimePerToken)
        && !(record.Latency > Latency);
}
