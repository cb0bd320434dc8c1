/** The entry: defines the elements. */
import './page';
